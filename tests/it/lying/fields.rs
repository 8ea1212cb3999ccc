//! The lies in one field of an answer, and what the client is to make of them.

use serde_json::{Value, json};

use super::{
    endpoints::{Endpoint, Form},
    lies::{
        LARGE, Row,
        Told::{self, Field, Good, OtherUser, Refused, TooLarge},
    },
    platform::honest,
};

/// Every lie in a field, in turn.
pub fn about_fields(endpoint: Endpoint, case: impl Fn() -> usize) -> Vec<(usize, Row)> {
    let mut rows = Vec::new();
    for (name, form) in endpoint.fields() {
        for (what, value) in values() {
            let case = case();
            let mut body = endpoint.honest(case);
            let fields = body.as_object_mut().unwrap();
            match &value {
                Some(value) => fields.insert((*name).to_owned(), value.clone()),
                None => fields.remove(*name),
            };
            let told = told(*form, what);
            let steps = honest(&body.to_string());
            rows.push((case, Row { lie: format!("{name} is {what}"), steps, told }));
        }
    }
    rows
}

fn values() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("absent", None),
        ("null", Some(Value::Null)),
        ("empty", Some(json!(""))),
        ("other text", Some(json!("somebody-else"))),
        ("text with a line break", Some(json!("a\r\nX-Evil: 1"))),
        ("zero", Some(json!(0))),
        ("a number", Some(json!(5))),
        ("negative", Some(json!(-7))),
        ("a fraction", Some(json!(1.5))),
        ("1e99", Some(json!(1e99))),
        ("the largest number", Some(json!(i64::MAX))),
        ("true", Some(json!(true))),
        ("an array", Some(json!(["o-case1x"]))),
        ("an object", Some(json!({ "openid": "o-case1x" }))),
        ("70 KiB", Some(json!("x".repeat(LARGE)))),
    ]
}

/// What is to become of such a value in such a field.
#[allow(clippy::match_same_arms)] // One line for each reason.
fn told(form: Form, value: &str) -> Told {
    match (form, value) {
        (_, "70 KiB") => TooLarge,
        (Form::Loose, _) | (Form::Text, "other text" | "text with a line break") => Good,
        (Form::Id | Form::MaybeId, "other text") => Good,
        (Form::MaybeId | Form::Errcode, "absent" | "null") | (Form::MaybeId, "empty") => Good,
        (Form::SameId, "other text") => OtherUser,
        (Form::Number, "zero" | "a number" | "negative" | "the largest number") => Good,
        (Form::SharedLife, "zero") | (Form::Life | Form::SharedLife, "negative") => Field,
        (Form::Life | Form::SharedLife, _) => Good,
        (Form::Errcode | Form::OnlyErrcode, "zero") => Good,
        (Form::Errcode | Form::OnlyErrcode, "a number") => Refused(5),
        (Form::Errcode | Form::OnlyErrcode, "negative") => Refused(-7),
        (Form::Errcode | Form::OnlyErrcode, "the largest number") => Refused(i64::MAX),
        _ => Field,
    }
}
