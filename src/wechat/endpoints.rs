//! Where the platform is: the host that people are sent to and the hosts that are called.

use crate::origin::{InvalidOrigin, Origin};

const OPEN: &str = "https://open.weixin.qq.com";
const API: [&str; 5] = [
    "https://api.weixin.qq.com",
    "https://api2.weixin.qq.com",
    "https://sh.api.weixin.qq.com",
    "https://sz.api.weixin.qq.com",
    "https://hk.api.weixin.qq.com",
];

/// The addresses of the platform. The default is WeChat's own: `open.weixin.qq.com` and its five API hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    open: Origin,
    api: Vec<Origin>,
}

impl Default for Endpoints {
    fn default() -> Self {
        let own = |text| Origin::parse(text).expect("WeChat's own addresses are origins");
        Self { open: own(OPEN), api: API.map(own).to_vec() }
    }
}

impl Endpoints {
    /// Sends people to another host than `https://open.weixin.qq.com`, such as a simulator's.
    ///
    /// # Errors
    /// When `base` is not `https://host[:port]`; plain `http` is taken for a loopback address only.
    pub fn with_open(mut self, base: &str) -> Result<Self, InvalidOrigin> {
        self.open = Origin::parse(base)?;
        Ok(self)
    }

    /// Calls other hosts than WeChat's five. The first is preferred, the others are for when it cannot be reached.
    /// An empty list leaves WeChat's own.
    ///
    /// # Errors
    /// As [`Endpoints::with_open`].
    pub fn with_api<S: AsRef<str>>(
        mut self,
        bases: impl IntoIterator<Item = S>,
    ) -> Result<Self, InvalidOrigin> {
        let api: Vec<_> =
            bases.into_iter().map(|base| Origin::parse(base.as_ref())).collect::<Result<_, _>>()?;
        if !api.is_empty() {
            self.api = api;
        }
        Ok(self)
    }

    /// Where people are sent.
    pub fn open(&self) -> &Origin {
        &self.open
    }

    /// What is called, the preferred one first.
    pub fn api(&self) -> &[Origin] {
        &self.api
    }
}
