//! Where the platform is: the host that people are sent to and the hosts that are called.

use crate::origin::{InvalidOrigin, Origin};

const OPEN: &str = "https://open.weixin.qq.com";
const WECOM: &str = "https://qyapi.weixin.qq.com";
const WECOM_DESKTOP: &str = "https://login.work.weixin.qq.com";
const API: [&str; 5] = [
    "https://api.weixin.qq.com",
    "https://api2.weixin.qq.com",
    "https://sh.api.weixin.qq.com",
    "https://sz.api.weixin.qq.com",
    "https://hk.api.weixin.qq.com",
];

/// The addresses of the platform. The default is WeChat's own: `open.weixin.qq.com`, its five API hosts, and WeCom's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    open: Origin,
    api: Vec<Origin>,
    wecom: Origin,
    wecom_desktop: Origin,
}

impl Default for Endpoints {
    fn default() -> Self {
        let own = |text| Origin::parse(text).expect("WeChat's own addresses are origins");
        Self {
            open: own(OPEN),
            api: API.map(own).to_vec(),
            wecom: own(WECOM),
            wecom_desktop: own(WECOM_DESKTOP),
        }
    }
}

impl Endpoints {
    /// Everything at one address, such as a simulator's.
    ///
    /// # Errors
    /// As [`Endpoints::with_open`].
    pub fn all_at(base: &str) -> Result<Self, InvalidOrigin> {
        Self::default()
            .with_open(base)?
            .with_api([base])?
            .with_wecom(base)?
            .with_wecom_desktop(base)
    }

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

    /// Calls another host than `https://qyapi.weixin.qq.com` for WeCom.
    ///
    /// # Errors
    /// As [`Endpoints::with_open`].
    pub fn with_wecom(mut self, base: &str) -> Result<Self, InvalidOrigin> {
        self.wecom = Origin::parse(base)?;
        Ok(self)
    }

    /// Sends people of a WeCom corp who are on a desktop to another host than `https://login.work.weixin.qq.com`.
    ///
    /// # Errors
    /// As [`Endpoints::with_open`].
    pub fn with_wecom_desktop(mut self, base: &str) -> Result<Self, InvalidOrigin> {
        self.wecom_desktop = Origin::parse(base)?;
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

    /// What is called for WeCom.
    pub fn wecom(&self) -> &Origin {
        &self.wecom
    }

    /// Where people of a WeCom corp are sent who are on a desktop.
    pub fn wecom_desktop(&self) -> &Origin {
        &self.wecom_desktop
    }
}
