//! The picture of the account's code, drawn anew at each start: WeChat's console would have it.

use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};
use qrcode::{Color, QrCode};

/// How many dots of the picture each dot of the code has, and how many of the code's are left white around it.
const SCALE: usize = 8;
const MARGIN: usize = 4;

/// A PNG picture with a code for `address`.
pub(super) fn code(address: &str) -> Vec<u8> {
    let code = QrCode::new(address).expect("an address of ours is far from the largest code");
    let dots = code.width();
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| (MARGIN..MARGIN + dots).contains(&at);
        inside(x) && inside(y) && code[(x - MARGIN, y - MARGIN)] == Color::Dark
    };
    let side = (dots + 2 * MARGIN) * SCALE;
    let mut rows = Vec::with_capacity(side * (side + 1));
    for y in 0..side {
        rows.push(0); // not filtered
        rows.extend((0..side).map(|x| if is_dark(x / SCALE, y / SCALE) { 0 } else { 255 }));
    }
    png(side, &rows)
}

/// A square in shades of grey, one byte each.
fn png(side: usize, rows: &[u8]) -> Vec<u8> {
    let side = u32::try_from(side).expect("the largest code has 177 dots").to_be_bytes();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(rows).expect("memory can be written to");
    let packed = packed.finish().expect("memory can be written to");
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut png, *b"IHDR", &[&side[..], &side, &[8, 0, 0, 0, 0]].concat());
    chunk(&mut png, *b"IDAT", &packed);
    chunk(&mut png, *b"IEND", &[]);
    png
}

fn chunk(png: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let mut sum = Crc::new();
    sum.update(&name);
    sum.update(data);
    png.extend(u32::try_from(data.len()).expect("a picture is small").to_be_bytes());
    png.extend(name);
    png.extend(data);
    png.extend(sum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_can_be_read_by_others() {
        let address = "http://127.0.0.1:8080/phone/follow";
        let picture = image::load_from_memory(&code(address)).expect("a PNG").into_luma8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let grey =
            |x, y| picture.get_pixel(u32::try_from(x).unwrap(), u32::try_from(y).unwrap()).0[0];
        let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
        assert_eq!(seen.detect_grids()[0].decode().expect("it can be read").1, address);
    }
}
