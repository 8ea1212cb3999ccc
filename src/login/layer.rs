//! The layer, and the settings of a login.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use tower_layer::Layer;

use super::{
    callback::Flights,
    door::Door,
    gate::Gate,
    observe::Observer,
    pages::Pages,
    parameters::Parameters,
    plain::PlainPages,
    policy::{Demand, Login, Outside, Policy},
    service::WechatLogin,
    ticket::SignInSite,
};
use crate::{
    clock::{Clock, SystemClock},
    keeper::{Followers, ServerTokens},
    origin::Origin,
    session::{KeyRing, Store, Subject},
    wechat::{Account, Client, Endpoints, Lang, Scope},
};

/// Signs people in with WeChat. See the [module](super) for what it does and where to put it.
///
/// Clones share sessions, keys and connections, so one may be put around several routers with different policies.
#[derive(Clone, Debug)]
pub struct WechatLoginLayer {
    gate: Gate,
}

impl WechatLoginLayer {
    /// A login with `account` for the site that browsers know as `public_url`. Sessions are kept in this process.
    ///
    /// Every path needs a silent sign-in until [`scope`](Self::scope), [`login`](Self::login) or
    /// [`path`](Self::path) say otherwise. The host of `public_url` has to be registered at WeChat
    /// (网页授权域名).
    #[cfg(feature = "memory")]
    pub fn new(account: Account, public_url: Origin) -> Self {
        Self::with_store(account, public_url, crate::session::MemoryStore::new())
    }

    /// As [`new`](Self::new), with sessions in a store of your choice.
    pub fn with_store(account: Account, public_url: Origin, store: impl Store) -> Self {
        Self::with_shared(account, public_url, Arc::new(store))
    }

    /// As [`with_store`](Self::with_store), with a store that others use too.
    pub(crate) fn with_shared(account: Account, public_url: Origin, store: Arc<dyn Store>) -> Self {
        let mut parameters = Parameters {
            account,
            public_url,
            policy: Policy::default(),
            client: Client::new(Endpoints::default()),
            store,
            keys: KeyRing::random(),
            clock: Arc::new(SystemClock),
            pages: Arc::new(PlainPages),
            lang: Lang::default(),
            profile_life: Duration::from_secs(24 * 60 * 60),
            runtime: None,
            flights: Flights::default(),
            account_name: None,
            session_name: Box::default(),
            cors_origins: Vec::new(),
            sign_in_at: None,
            partners: Vec::new(),
            observer: None,
            subject: Subject::default(),
            companions: Vec::new(),
            website: None,
            outside: Outside::default(),
            doors: Vec::new(),
            keeper: Arc::default(),
        };
        parameters.name_session();
        Self { gate: Gate::new(parameters) }
    }

    /// What paths ask for that no [`path`](Self::path) names: `snsapi_base` (the default) or `snsapi_userinfo`.
    pub fn scope(self, scope: Scope) -> Self {
        self.login(if scope.has_userinfo() { Login::Userinfo } else { Login::Base })
    }

    /// What paths ask for that no [`path`](Self::path) names. Default [`Login::Base`].
    pub fn login(mut self, demand: impl Into<Demand>) -> Self {
        let policy = std::mem::take(&mut self.gate.parameters().policy);
        self.gate.parameters().policy = policy.otherwise(demand);
        self
    }

    /// What `prefix` and the paths below it ask for. The longest prefix decides.
    pub fn path(mut self, prefix: &str, demand: impl Into<Demand>) -> Self {
        let policy = std::mem::take(&mut self.gate.parameters().policy);
        self.gate.parameters().policy = policy.path(prefix, demand);
        self
    }

    /// What each path asks for, all at once.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.gate.parameters().policy = policy;
        self
    }

    /// Calls WeChat with this client, as for a simulator's addresses.
    pub fn client(mut self, client: Client) -> Self {
        self.gate.parameters().client = client;
        // One that was made before knows the client before.
        self.gate.parameters().keeper = Arc::default();
        self
    }

    /// Seals pending sign-ins with these keys. Default one random key, so that a restart forgets them.
    pub fn keys(mut self, keys: KeyRing) -> Self {
        self.gate.parameters().keys = keys;
        self
    }

    /// Takes the time from here. Default the machine's clock. Give the same one to the store.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.gate.parameters().clock = Arc::new(clock);
        self.gate.parameters().keeper = Arc::default();
        self
    }

    /// Draws pages this way. Default [`PlainPages`].
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.gate.parameters().pages = Arc::new(pages);
        self
    }

    /// The language in which WeChat names places. Default Chinese.
    pub fn lang(mut self, lang: Lang) -> Self {
        self.gate.parameters().lang = lang;
        self
    }

    /// A profile older than this is fetched again in the background, when its user comes by. Default 24 hours.
    pub fn refresh_profiles_after(mut self, life: Duration) -> Self {
        self.gate.parameters().profile_life = life;
        self
    }

    /// Lets scripts of these origins read what scripts are told here: 401 with the login URL, and `/_wx/me`. Default
    /// none. Browsers send our cookie along only from the same site (another host of one domain).
    pub fn cors_origins(mut self, origins: impl IntoIterator<Item = Origin>) -> Self {
        self.gate.parameters().cors_origins = origins.into_iter().collect();
        self
    }

    /// Signs people in through another site of ours, whose host is registered at WeChat: default through WeChat itself.
    /// That site has to name this one among its [`partners`](Self::partners), have the same account, and share store and
    /// keys.
    pub fn sign_in_at(mut self, site: Origin) -> Self {
        self.gate.parameters().sign_in_at =
            Some(SignInSite { url: site, account: None, any_browser: false });
        self
    }

    /// The sites that sign people in through this one. Default none.
    pub fn partners(mut self, sites: impl IntoIterator<Item = Origin>) -> Self {
        self.gate.parameters().partners = sites.into_iter().collect();
        self
    }

    /// Names people this way towards the app. Default `appid:openid`.
    ///
    /// With [`Subject::Unionid`], people are known by their unionid from when WeChat tells it: at a sign-in with consent, or
    /// with a website application. Who was known before that keeps the former name as
    /// [`former_subject`](super::WechatUser::former_subject), and only ever changes this once, as long as the store knows the
    /// user: thirty days after the last sign-in, in a store that outlives the process.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.gate.parameters().subject = subject;
        self
    }

    /// Signs people in with this website application (网站应用) who are not in WeChat, where that is
    /// [offered](Self::outside_wechat): from now on everywhere. Both kinds of sign-in make the same session.
    pub fn website(mut self, account: Account) -> Self {
        let parameters = self.gate.parameters();
        parameters.website = Some(account);
        parameters.outside = Outside::Website;
        self
    }

    /// What browsers are offered that are not WeChat's, where a [`Demand`] does not say. Default [`Outside::Help`].
    pub fn outside_wechat(mut self, outside: Outside) -> Self {
        self.gate.parameters().outside = outside;
        self
    }

    /// Opens another way in, or something else that pages may ask for. Default none.
    pub fn door(mut self, door: impl Into<Door>) -> Self {
        self.gate.parameters().doors.push(door.into());
        self
    }

    /// Makes calls to WeChat on this runtime. Default the one that the request runs on.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.gate.parameters().runtime = Some(runtime);
        self
    }

    /// Tells every step of every sign-in to `observer`, in place of any earlier one. Default nobody.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.gate.parameters().observer = Some(Arc::new(observer));
        self
    }

    /// The account's own `access_token`, as this login keeps it: another keeper in the app would fetch another one. With a
    /// store that several instances share, it is one for all of them.
    pub fn server_tokens(&self) -> &ServerTokens {
        &self.gate.keeper().tokens
    }

    /// Who follows the account, and what else WeChat tells of them.
    pub fn followers(&self) -> &Followers {
        &self.gate.keeper().followers
    }

    /// The login itself, for whoever judges requests without a tower service.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// What several logins of one gateway have in common.
#[cfg(feature = "gateway")]
impl WechatLoginLayer {
    /// For an account that is not the site's own, and known by `name` in addresses.
    pub(crate) fn other_account(mut self, name: &str) -> Self {
        let parameters = self.gate.parameters();
        parameters.account_name = Some(name.into());
        parameters.name_session();
        self
    }

    /// Signs people in through another site, with the account that it knows by some name.
    pub(crate) fn through(mut self, site: Option<SignInSite>) -> Self {
        self.gate.parameters().sign_in_at = site;
        self
    }

    /// Takes sessions of this account too, beside those of the login's own.
    pub(crate) fn companion(mut self, appid: crate::wechat::AppId) -> Self {
        self.gate.parameters().companions.push(appid);
        self
    }

    /// Uses this one, as others do.
    pub(crate) fn keeper(mut self, keeper: crate::keeper::Keeper) -> Self {
        self.gate.parameters().keeper = Arc::new(keeper.into());
        self
    }

    pub(crate) fn flights(mut self, flights: Flights) -> Self {
        self.gate.parameters().flights = flights;
        self
    }
}

impl<S> Layer<S> for WechatLoginLayer {
    type Service = WechatLogin<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WechatLogin::new(inner, self.gate.clone())
    }
}

#[cfg(all(test, feature = "memory"))]
mod properties;
