//! What `cargo fuzz` runs, and what the tests replay: hostile input for each place that reads what strangers write.
//!
//! Each target is one function with its assertions in it. `fuzz/` has the corpora, and `fuzz/run.sh` fuzzes.

mod callback_query;
mod configuration;
mod cookies;
mod forward_auth;
mod forwarded;
mod header_stripping;
mod html_injector;
mod input;
mod mini_program;
mod paths;
mod return_targets;
mod store_records;
mod tokens;
mod upstream_answers;
mod wechat_json;
mod world;

pub use callback_query::callback_query;
pub use configuration::configuration;
pub use cookies::cookies;
pub use forward_auth::forward_auth;
pub use forwarded::forwarded;
pub use header_stripping::header_stripping;
pub use html_injector::html_injector;
pub use mini_program::mini_program;
pub use paths::paths;
pub use return_targets::return_targets;
pub use store_records::store_records;
pub use tokens::tokens;
pub use upstream_answers::upstream_answers;
pub use wechat_json::wechat_json;

#[cfg(test)]
mod tests;
