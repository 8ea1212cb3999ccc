//! What the gateway tells of the user beyond headers: a block in the page, and an assertion that an app can check.

mod assertion;
mod block;
mod coding;
mod headers;
mod html;
mod page;

pub(in crate::gateway) use assertion::{AssertionKey, AssertionKeys, Assertions, Claims};
pub(crate) use block::block;
pub(in crate::gateway) use headers::prepare_request;
pub(crate) use html::{Injected, inject};
