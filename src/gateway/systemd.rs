//! Tells systemd how far the service is, where it is run by systemd with `Type=notify`.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

/// Where systemd wants to be told.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// Within what the system rounds its uptime down.
const UPTIME_STEP: Duration = Duration::from_millis(10);

/// How far the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves: after the start, and again after each reload, whatever came of that.
    Ready,
    /// It reads its configuration again.
    Reloading,
    /// It finishes what is in flight, and ends.
    Stopping,
}

/// Tells systemd, if it wants to know. What fails is logged: nobody is served less for it.
pub fn tell(state: State) {
    let Some(address) = env::var_os(VARIABLE) else { return };
    if let Err(error) = send(address.as_bytes(), message(state).as_bytes()) {
        tracing::warn!(%error, ?state, ?address, "systemd could not be told through {VARIABLE}");
    }
}

fn message(state: State) -> String {
    match state {
        State::Ready => "READY=1".to_owned(),
        State::Stopping => "STOPPING=1".to_owned(),
        State::Reloading => match now() {
            // `Type=notify-reload` believes only a time that is not before its own signal.
            Some(now) => format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()),
            None => "RELOADING=1".to_owned(),
        },
    }
}

/// The time since the system was started. Never before the true one.
fn now() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()? + UPTIME_STEP)
}

fn send(address: &[u8], message: &[u8]) -> io::Result<()> {
    UnixDatagram::unbound()?.send_to_addr(message, &parse(address)?)?;
    Ok(())
}

/// A path, or after an `@` a name that stands in no folder, as only Linux has them.
fn parse(address: &[u8]) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = address.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;

        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(OsStr::from_bytes(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_message_arrives_by_path_and_by_abstract_name() {
        let name = format!("wxgate-test-{}", uuid::Uuid::new_v4());
        let path = env::temp_dir().join(&name);
        let by_path = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str().as_bytes(), message(State::Ready).as_bytes()).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(receive(&by_path), "READY=1");
        let address = parse(format!("@{name}").as_bytes()).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_bytes(), message(State::Stopping).as_bytes()).unwrap();
        assert_eq!(receive(&by_name), "STOPPING=1");
        assert!(send(path.as_os_str().as_bytes(), b"READY=1").is_err());
    }

    #[test]
    fn a_reload_says_when_and_never_before_it_began() {
        let uptime = || {
            let text = fs::read_to_string("/proc/uptime").unwrap();
            text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
        };
        let before = uptime();
        let text = message(State::Reloading);
        let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("both lines");
        let said = Duration::from_micros(micros.parse().unwrap()).as_secs_f64();
        assert!(said > before && said < uptime() + 1.0, "{before} {said}");
    }
}
