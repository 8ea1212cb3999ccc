//! The fields of a message, from XML or JSON.

use std::collections::BTreeMap;

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, Event},
};
use serde_json::Value;

/// A message: names and their texts. What is nested deeper, as in messages that are about other things, is left out.
#[derive(Debug)]
pub struct Message(BTreeMap<String, String>);

/// A body that is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a message: {0}")]
pub struct Malformed(&'static str);

impl Message {
    /// The text of a field, with the white space around it taken away.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim())
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(body).map_err(|_| Malformed("it is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        if text.starts_with('{') { Self::from_json(text) } else { Self::from_xml(text) }
    }

    fn from_json(text: &str) -> Result<Self, Malformed> {
        let fields: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|_| Malformed("it is not JSON"))?;
        let fields = fields.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Number(number) => Some((name, number.to_string())),
            _ => None,
        });
        Ok(Self(fields.collect()))
    }

    /// One element with elements that hold text. Nothing is looked up that a document could define by itself.
    fn from_xml(text: &str) -> Result<Self, Malformed> {
        const BROKEN: Malformed = Malformed("it is not well-formed XML");
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut fields = BTreeMap::new();
        let (mut depth, mut is_over) = (0_usize, false);
        let mut field: Option<(String, String)> = None;
        loop {
            let text = match reader.read_event().map_err(|_| BROKEN)? {
                Event::DocType(_) => return Err(Malformed("it has a document type definition")),
                Event::Start(_) if depth == 0 && is_over => return Err(BROKEN),
                Event::Start(start) => {
                    depth += 1;
                    if depth == 2 {
                        field = Some((start.name().0.to_owned(), String::new()));
                    }
                    continue;
                }
                Event::End(_) => {
                    depth = depth.checked_sub(1).ok_or(BROKEN)?;
                    is_over = depth == 0;
                    if depth == 1
                        && let Some((name, text)) = field.take()
                        && fields.insert(name, text).is_some()
                    {
                        return Err(Malformed("a field is there twice"));
                    }
                    continue;
                }
                Event::Text(text) => text.into_inner(),
                Event::CData(text) => text.into_inner(),
                Event::GeneralRef(reference) => resolve(&reference)?.into(),
                Event::Eof if is_over => return Ok(Self(fields)),
                Event::Eof => return Err(BROKEN),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
            };
            match (&mut field, depth) {
                (Some((_, so_far)), 2) => so_far.push_str(&text),
                (_, 0) if !text.trim().is_empty() => return Err(BROKEN),
                _ => {}
            }
        }
    }
}

/// A character by its number, or one of the five that XML itself names.
fn resolve(reference: &BytesRef<'_>) -> Result<String, Malformed> {
    const UNKNOWN: Malformed = Malformed("it refers to an entity of its own");
    if let Some(character) = reference.resolve_char_ref().map_err(|_| UNKNOWN)? {
        return Ok(character.to_string());
    }
    resolve_predefined_entity(reference).map(str::to_owned).ok_or(UNKNOWN)
}
