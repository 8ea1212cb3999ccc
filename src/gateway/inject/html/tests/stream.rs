//! Pages that stop, break off, are damaged, or are made to hurt.

use super::{super::super::coding::STEP, *};

#[test]
fn a_page_that_stops_in_between_is_not_held_back() {
    let first = b"<html><head><title>x</title></head><body><p>the first part</p>";
    let second = b"<p>the second part</p>";
    let goes = text(first).replacen("<head>", &format!("<head>{BLOCK}"), 1);
    // Each packed so that the first part is whole before the second begins.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
    let (mut gzips, mut brotlis) = (Vec::new(), Vec::new());
    for part in [&first[..], second] {
        gzip.write_all(part).unwrap();
        gzip.flush().unwrap();
        gzips.push(std::mem::take(gzip.get_mut()));
        brotli.write_all(part).unwrap();
        brotli.flush().unwrap();
        brotlis.push(std::mem::take(brotli.get_mut()));
    }
    gzips.push(gzip.finish().unwrap());
    brotlis.push(brotli.into_inner());
    let plain = vec![first.to_vec(), second.to_vec(), b"\n".to_vec()];
    for (coding, parts) in [("identity", plain), ("gzip", gzips), ("br", brotlis)] {
        let mut body = page(coding, vec![Event::Stop]);
        let (mut got, mut shown) = (Vec::new(), Vec::new());
        for part in &parts[..2] {
            body.body.0 = [Event::Data(part.clone().into()), Event::Stop].into();
            loop {
                match poll(&mut body) {
                    Some(Got::Data(data)) => got.extend_from_slice(&data),
                    Some(Got::Nothing) => break,
                    other => panic!("{other:?}"),
                }
            }
            shown.push(unpack_so_far(coding, &got));
        }
        assert_eq!(shown, [goes.clone(), format!("{goes}{}", text(second))], "{coding}");
        body.body.0 = [Event::Data(parts[2].clone().into())].into();
        let (rest, error) = read(body);
        assert!(error.is_none() && !rest.is_empty(), "{coding}: {error:?}");
    }
}

/// What a browser can show of a packed page that is not over.
fn unpack_so_far(coding: &str, packed: &[u8]) -> String {
    let mut plain = Vec::new();
    let ends = match coding {
        "gzip" => MultiGzDecoder::new(packed).read_to_end(&mut plain),
        "br" => brotli::Decompressor::new(packed, 4096).read_to_end(&mut plain),
        _ => return text(packed),
    };
    assert!(ends.is_err(), "it is over");
    text(&plain)
}

#[test]
fn a_page_that_is_cut_short_or_damaged_is_never_ended_well() {
    let plain = format!("<html><head></head>{}", "<p>x</p>".repeat(500));
    for (coding, pack, unpack) in CODINGS {
        let packed = pack(plain.as_bytes());
        assert!(unpack(&whole(page(coding, cut(&packed, 50)))).len() > plain.len());
        // The upstream itself breaks off.
        let mut events = cut(&packed[..packed.len() / 2], 50);
        events.push(Event::Error);
        let (_, error) = read(page(coding, events));
        assert!(matches!(error, Some(InjectError::Body(_))), "{coding}: {error:?}");
        if coding == "identity" {
            continue;
        }
        for length in 1..packed.len() {
            let (_, error) = read(page(coding, cut(&packed[..length], 50)));
            assert!(
                matches!(error, Some(InjectError::Coding(_))),
                "{coding} to {length}: {error:?}"
            );
        }
        let mut garbage = packed;
        garbage[..8].fill(0xff);
        let (_, error) = read(page(coding, cut(&garbage, 50)));
        assert!(matches!(error, Some(InjectError::Coding(_))), "{coding}: {error:?}");
    }
    let mut wrong_sum = gzip(plain.as_bytes());
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let (_, error) = read(page("gzip", cut(&wrong_sum, 50)));
    assert!(matches!(error, Some(InjectError::Coding(_))), "{error:?}");
}

#[test]
fn gzip_may_come_in_members_and_with_something_behind_them() {
    let goes = format!("<html><head>{BLOCK}</head><p>x</p>");
    let members = [gzip(b"<html><he"), gzip(b""), gzip(b"ad></head><p>x</p>")].concat();
    let trailed = [gzip(b"<html><head></head><p>x</p>"), b"\r\n\0\x1f".to_vec()].concat();
    for packed in [members, trailed] {
        for length in [1, 5, 1000] {
            assert_eq!(text(&gunzip(&whole(page("gzip", cut(&packed, length))))), goes);
        }
    }
}

/// The most that one poll gives, the number of polls, and what they give together.
fn drink(body: &mut Injected<Script>) -> (usize, usize, usize) {
    let (mut most, mut polls, mut all) = (0, 0, 0);
    while let Some(got) = poll(body) {
        polls += 1;
        match got {
            Got::Data(data) => {
                most = most.max(data.len());
                all += data.len();
            }
            Got::Nothing => {}
            other => panic!("{other:?}"),
        }
    }
    (most, polls, all)
}

#[test]
fn a_bomb_grows_no_memory_and_keeps_no_core_busy() {
    const SIZE: usize = 64 << 20;
    let mut bomb = b"<html><head></head><body>".to_vec();
    bomb.resize(SIZE, b' ');
    for (coding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("br", brotli)] {
        let packed = pack(&bomb);
        assert!(packed.len() < SIZE / 500, "{coding}: it is no bomb");
        let mut decoder = Decoder::new(if coding == "br" { Coding::Brotli } else { Coding::Gzip });
        let mut input = Bytes::from(packed.clone());
        let (mut step, mut unpacked) = (0, 0);
        while !input.is_empty() || decoder.has_more() {
            let piece = decoder.step(&mut input).unwrap();
            step = step.max(piece.len());
            unpacked += piece.len();
        }
        decoder.finish().unwrap();
        assert_eq!(unpacked, SIZE, "{coding}");
        assert!(step <= 3 * STEP, "{coding}: {step} bytes in a step");
        // All of it in one piece.
        let (most, polls, all) = drink(&mut page(coding, cut(&packed, packed.len())));
        assert!(most < 256 << 10, "{coding}: a frame of {most}");
        assert!(all < SIZE / 100, "{coding}: {all}");
        assert!(polls >= SIZE / (STEPS * step), "{coding}: one poll does too much");
    }
}

#[test]
fn text_and_comments_of_any_length_take_bounded_memory() {
    const SIZE: usize = 16 << 20;
    let text = |c: u8| Event::Data(vec![c; 64 << 10].into());
    for (begins, has_block) in [
        // A long text flows through before and after the block's place.
        ("<!doctype html>", true),
        ("<html><head>", true),
        ("<html><head><script>", true),
        ("no document", false),
        // A tag or a comment that never ends is let go.
        ("<html lang='", false),
        ("<!doctype html><!--", false),
    ] {
        let mut events = vec![Event::Data(begins.into())];
        events.extend(std::iter::repeat_n(text(b'a'), SIZE / (64 << 10)));
        let mut body = page("identity", events);
        let (mut out, mut kept) = (0, 0);
        let mut fed = begins.len();
        while let Some(got) = poll(&mut body) {
            let Got::Data(data) = got else { panic!("{got:?}") };
            out += data.len();
            let Script(left) = &body.body;
            fed = fed.max(begins.len() + SIZE - left.len() * (64 << 10));
            let work = body.work.as_ref().unwrap();
            kept = kept.max((fed - work.input.len()).saturating_sub(out));
        }
        let block = if has_block { BLOCK.len() } else { 0 };
        assert_eq!(out, begins.len() + SIZE + block, "{begins}");
        assert!(kept <= 512 << 10, "{begins}: {kept} bytes are kept");
    }
    // A comment that a site can really have before its head.
    let licence = format!("<!doctype html><!--{}--><html><head><p>", "x".repeat(100_000));
    let goes = licence.replace("<head>", &format!("<head>{BLOCK}"));
    assert_eq!(whole(page("identity", cut(licence.as_bytes(), 8192))), goes.into_bytes());
    // Tags that are never closed, of which each is remembered while the page has not shown what it is.
    let deep = "<div>".repeat(1_000_000);
    assert_eq!(whole(page("identity", cut(deep.as_bytes(), 8192))), deep.into_bytes());
}
