//! Finds the place for the block in a page that comes in pieces, and lets everything else through byte for byte.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use lol_html::{
    HandlerResult, MemorySettings, OutputSink, doctype, element,
    html_content::ContentType,
    send::{Element, HtmlRewriter, Settings},
};

/// What is kept of a page that has not shown its head yet. A page with more before it is passed on as it is.
const MOST_KEPT: usize = 256 * 1024;

const HTML: &str = "http://www.w3.org/1999/xhtml";

/// A page on its way through.
///
/// The block becomes the first child of `<head>`. Where that tag is left out, it comes before the first other tag
/// but `<html>`, where a browser makes the head by itself; a document that has text only gets it at its end, unless that
/// is in the middle of a tag.
///
/// A piece of HTML without doctype, `<html>`, `<head>`, `<body>`, `<title>` and `<meta charset>` is no page, but
/// something that a script puts into one, which has its block: it is left alone.
pub(super) struct Page {
    /// None once there is nothing left to look for.
    rewriter: Option<HtmlRewriter<'static, Sink>>,
    scan: Arc<Scan>,
}

/// What the rewriter's handlers share. It all happens within one call, so nothing is ever waited for.
struct Scan {
    block: Box<str>,
    is_document: AtomicBool,
    is_placed: AtomicBool,
    /// How many `<template>`s and drawings are open. What is in them is no part of the page.
    aside: AtomicUsize,
    written: Mutex<Vec<u8>>,
}

impl Page {
    pub(super) fn new(block: &str) -> Self {
        let scan = Arc::new(Scan {
            block: block.into(),
            is_document: AtomicBool::new(false),
            is_placed: AtomicBool::new(false),
            aside: AtomicUsize::new(0),
            written: Mutex::default(),
        });
        let memory = MemorySettings::new()
            .with_max_allowed_memory_usage(MOST_KEPT)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let (at_doctype, at_tag) = (scan.clone(), scan.clone());
        // No handler sees text, which would be decoded and encoded again for it, and no tag is changed: whatever the
        // page's encoding is, its bytes stay what they are.
        let settings = Settings::new_send()
            .with_memory_settings(memory)
            .with_strict(false)
            .append_document_content_handler(doctype!(move |_| {
                at_doctype.is_document.store(true, Ordering::Relaxed);
                Ok(())
            }))
            .append_element_content_handler(element!("*", move |tag: &mut Element<'_, '_>| {
                Scan::tag(&at_tag, tag)
            }));
        let rewriter = HtmlRewriter::new(settings, Sink(scan.clone()));
        Self { rewriter: Some(rewriter), scan }
    }

    /// Whether the rest of the page passes as it is.
    pub(super) fn is_settled(&self) -> bool {
        self.rewriter.is_none()
    }

    /// Takes a piece in and gives what can go on.
    pub(super) fn feed(&mut self, piece: Bytes) -> Bytes {
        let Some(rewriter) = &mut self.rewriter else {
            return piece;
        };
        if let Err(error) = rewriter.write(&piece) {
            // It has written all that it had as it was.
            tracing::debug!(%error, "a page has too much before its head and is passed on as it is");
            self.rewriter = None;
        } else if self.scan.is_placed.load(Ordering::Relaxed) {
            self.end();
        }
        self.scan.take()
    }

    /// The page is over: gives what is left.
    pub(super) fn finish(&mut self) -> Bytes {
        // All text has been passed on by now. A tag or a comment that has not ended is held back: it would swallow the
        // block, or let what is in it end an attribute.
        let passed_on = self.scan.written().len();
        if self.end() && self.scan.written().len() == passed_on {
            self.scan.place_at_the_end();
        }
        self.scan.take()
    }

    /// Looks for nothing any more. Whether all was looked at so far.
    fn end(&mut self) -> bool {
        let Some(rewriter) = self.rewriter.take() else { return false };
        let ended = rewriter.end();
        if let Err(error) = &ended {
            tracing::debug!(%error, "a page has too much before its head and is passed on as it is");
        }
        ended.is_ok()
    }
}

impl Scan {
    fn tag(scan: &Arc<Self>, tag: &mut Element<'_, '_>) -> HandlerResult {
        if scan.is_placed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let name = tag.tag_name();
        let is_of_the_page = tag.namespace_uri() == HTML && scan.aside.load(Ordering::Relaxed) == 0;
        match name.as_str() {
            "html" if is_of_the_page => scan.is_document.store(true, Ordering::Relaxed),
            "head" if is_of_the_page => {
                scan.is_placed.store(true, Ordering::Relaxed);
                tag.start_tag().after(&scan.block, ContentType::Html);
            }
            _ if scan.is_document.load(Ordering::Relaxed) => scan.place_before(tag),
            "body" | "title" if is_of_the_page => scan.place_before(tag),
            "meta" if is_of_the_page && tag.has_attribute("charset") => scan.place_before(tag),
            // One that closes itself is no start of anything.
            "template" | "svg" | "math" if tag.can_have_content() => {
                scan.aside.fetch_add(1, Ordering::Relaxed);
                let scan = scan.clone();
                return tag.on_end_tag(Box::new(move |_| {
                    scan.aside.fetch_sub(1, Ordering::Relaxed);
                    Ok(())
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn place_before(&self, tag: &mut Element<'_, '_>) {
        self.is_placed.store(true, Ordering::Relaxed);
        tag.before(&self.block, ContentType::Html);
    }

    fn place_at_the_end(&self) {
        let is_document = self.is_document.load(Ordering::Relaxed);
        if is_document && !self.is_placed.swap(true, Ordering::Relaxed) {
            self.written().extend_from_slice(self.block.as_bytes());
        }
    }

    fn take(&self) -> Bytes {
        mem::take(&mut *self.written()).into()
    }

    fn written(&self) -> MutexGuard<'_, Vec<u8>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the rewriter writes.
struct Sink(Arc<Scan>);

impl OutputSink for Sink {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        self.0.written().extend_from_slice(chunk);
    }
}
