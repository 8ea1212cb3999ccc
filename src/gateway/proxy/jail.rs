//! Files of one directory and of nothing outside of it, wherever links in it lead.

use std::{
    fs::{self, Metadata},
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    fs::File,
    io::{AsyncRead, AsyncSeek, ReadBuf},
    task::spawn_blocking,
};
use tower_http::services::fs::{Backend, File as OpenedFile};

/// A directory whose files may be served. What a link in it leads out to does not exist for anybody.
#[derive(Clone, Debug)]
pub(super) struct Jail {
    base: Arc<Path>,
}

impl Jail {
    pub(super) fn new(base: &Path) -> Self {
        Self { base: base.into() }
    }

    /// The real path of something in the directory. Both are resolved each time: to replace a link to the directory is
    /// how many sites are brought up to date.
    pub(super) fn inside(&self, path: &Path) -> io::Result<PathBuf> {
        let path = path.canonicalize()?;
        if path.starts_with(self.base.canonicalize()?) {
            Ok(path)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

type Later<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

fn later<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Later<T> {
    Box::pin(async { spawn_blocking(work).await.map_err(io::Error::other)? })
}

impl Backend for Jail {
    type File = Opened;
    type Metadata = Metadata;
    type OpenFuture = Later<Opened>;
    type MetadataFuture = Later<Metadata>;

    fn open(&self, path: PathBuf) -> Later<Opened> {
        let jail = self.clone();
        later(move || {
            let path = jail.inside(&path)?;
            // To open a pipe would wait for somebody who writes into it.
            if !fs::metadata(&path)?.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok(Opened(File::from_std(fs::File::open(path)?)))
        })
    }

    fn metadata(&self, path: PathBuf) -> Later<Metadata> {
        let jail = self.clone();
        later(move || {
            let found = fs::metadata(jail.inside(&path)?)?;
            if found.is_file() || found.is_dir() {
                Ok(found)
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })
    }
}

/// A file that was found inside.
pub(super) struct Opened(File);

impl OpenedFile for Opened {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Metadata>> + Send + 'a>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncSeek for Opened {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(context)
    }
}
