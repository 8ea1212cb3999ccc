//! The two cookies that remember who visits the simulated WeChat.

use http::{HeaderMap, header};

use super::params::Params;
use super::world::World;

const USER: &str = "wxsim-user";
const FROM: &str = "wxsim-from";
const SESSION_ONLY: &str = "; Path=/; HttpOnly; SameSite=Lax";

/// The name of the person who was chosen.
pub(super) fn user(headers: &HeaderMap) -> Option<&str> {
    value(headers, USER)
}

/// Whether the person was said to come from the account's menu.
pub(super) fn is_from_menu(headers: &HeaderMap) -> bool {
    value(headers, FROM) == Some("menu")
}

/// The cookies after a tap in the picker, or on the button that leads back to it; `None`: it was neither.
pub(super) fn chosen(world: &World, tap: &Params) -> Option<[String; 2]> {
    if tap.first("switch").is_some() {
        return Some([gone(USER), gone(FROM)]);
    }
    let user = world.user(tap.first("user")?)?;
    let from = match tap.first("from") {
        Some("menu") => format!("{FROM}=menu{SESSION_ONLY}"),
        _ => gone(FROM),
    };
    Some([format!("{USER}={}{SESSION_ONLY}", user.name), from])
}

fn gone(name: &str) -> String {
    format!("{name}=; Max-Age=0{SESSION_ONLY}")
}

fn value<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}
