//! A small disk of its own, which can be filled and made read-only: in a mount namespace that nobody else sees.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::process::Folder;

pub struct Disk {
    /// A shell inside of the namespace, which ends, and the disk with it, when this is dropped.
    shell: Child,
    say: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    mounted: PathBuf,
    is_root: bool,
}

impl Disk {
    /// One of so many bytes, at `disk` in the folder.
    pub async fn new(folder: &Folder, size: usize) -> Self {
        let mounted = folder.path().join("disk");
        fs::create_dir(&mounted).unwrap();
        let is_root = Command::new("id").arg("-u").output().await.unwrap().stdout == b"0\n";
        // Whoever is not root is root of a namespace.
        let how: &[&str] = if is_root { &["-m"] } else { &["-r", "-m"] };
        let mut shell = Command::new("unshare")
            .args(how)
            .arg("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let say = shell.stdin.take().unwrap();
        let said = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut disk = Self { shell, say, said, mounted, is_root };
        let mounted = disk.mounted.display().to_string();
        disk.run(&format!("mount -t tmpfs -o size={size},mode=700 none '{mounted}'")).await;
        disk
    }

    /// Runs a command inside.
    pub async fn run(&mut self, command: &str) {
        self.say
            .write_all(format!("{command} && echo done || echo failed\n").as_bytes())
            .await
            .unwrap();
        assert_eq!(self.said.next_line().await.unwrap().as_deref(), Some("done"), "{command}");
    }

    /// What starts a command inside.
    pub fn launch(&self) -> Vec<String> {
        let target = format!("--target={}", self.id());
        let mut launch = vec!["nsenter".into(), target, "--mount".into()];
        if !self.is_root {
            launch.extend(["--user".into(), "--preserve-credentials".into()]);
        }
        launch
    }

    fn id(&self) -> u32 {
        self.shell.id().expect("it runs")
    }

    /// A file on the disk, as it is seen from outside.
    pub fn file(&self, name: &str) -> PathBuf {
        let mounted = self.mounted.strip_prefix("/").unwrap();
        Path::new("/proc").join(self.id().to_string()).join("root").join(mounted).join(name)
    }

    /// Writes until there is no room for one byte.
    pub fn fill(&self) {
        let mut file = File::create(self.file("filler")).unwrap();
        let (chunk, mut size) = ([0; 4096], 4096);
        while size > 0 {
            if file.write_all(&chunk[..size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Takes that back.
    pub fn free(&self) {
        fs::remove_file(self.file("filler")).unwrap();
    }
}
