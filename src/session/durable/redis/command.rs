//! Commands about one key, and the scripts that make several of Redis's own commands one.

use std::sync::OnceLock;

use ::redis::Cmd;

/// One command.
#[derive(Debug)]
pub(super) struct Command {
    what: What,
    key: String,
    args: Vec<Vec<u8>>,
    pub(super) may_repeat: bool,
}

#[derive(Debug)]
enum What {
    Plain(&'static str),
    Script(&'static Script),
}

/// A script about one key, which is all that a cluster can do in one step.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub(super) const fn new(code: &'static str) -> Self {
        Self { code, hash: OnceLock::new() }
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| ::redis::Script::new(self.code).get_hash().to_owned())
    }
}

impl Command {
    pub(super) fn new(name: &'static str, key: impl Into<String>) -> Self {
        Self::of(What::Plain(name), key.into())
    }

    pub(super) fn script(script: &'static Script, key: impl Into<String>) -> Self {
        Self::of(What::Script(script), key.into())
    }

    fn of(what: What, key: String) -> Self {
        Self { what, key, args: Vec::new(), may_repeat: false }
    }

    pub(super) fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(super) fn number(self, number: impl Into<u128>) -> Self {
        self.arg(number.into().to_string())
    }

    /// It only reads, so it may be sent again where it is not known whether it was done.
    pub(super) fn only_reads(mut self) -> Self {
        self.may_repeat = true;
        self
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// As it is sent: a script by its hash.
    pub(super) fn packed(&self) -> Cmd {
        match self.what {
            What::Plain(name) => self.with_args(::redis::cmd(name)),
            What::Script(script) => self.with_args(script_call("EVALSHA", script.hash())),
        }
    }

    /// As it is sent to a server that does not know the script, if it is one.
    pub(super) fn in_full(&self) -> Option<Cmd> {
        match self.what {
            What::Plain(_) => None,
            What::Script(script) => Some(self.with_args(script_call("EVAL", script.code))),
        }
    }

    fn with_args(&self, mut command: Cmd) -> Cmd {
        command.arg(&self.key);
        for arg in &self.args {
            command.arg(arg);
        }
        command
    }
}

fn script_call(name: &'static str, script: &str) -> Cmd {
    let mut command = ::redis::cmd(name);
    command.arg(script).arg(1);
    command
}
