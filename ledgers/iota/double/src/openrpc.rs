//! What the node's OpenRPC file says about requests and answers, and whether they are as it says.
//!
//! It is stricter than the file in one point: a field that a schema does not name is a mistake,
//! where the schema does not say that there are others.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Of release 1.26, with the methods that the double has; the README says how it was made.
const FILE: &str = include_str!("openrpc.json");

static PARSED: LazyLock<Value> = LazyLock::new(|| {
    // It is a constant, which the tests read.
    #[allow(clippy::expect_used)]
    serde_json::from_str(FILE).expect("the file is JSON")
});

/// Whether parameters are those of a method; what is wrong with them otherwise.
pub(crate) fn check_params(method: &str, params: &[Value]) -> Result<(), String> {
    let specified = specified(method)?["params"].as_array().map_or(&[][..], Vec::as_slice);
    if params.len() > specified.len() {
        return Err(format!("{method}: {} parameters", params.len()));
    }
    for (at, param) in specified.iter().enumerate() {
        let name = param["name"].as_str().unwrap_or_default();
        match params.get(at) {
            None | Some(Value::Null) if param["required"] != true => {}
            None => return Err(format!("{method}: no {name}")),
            Some(given) => check(&param["schema"], given, &format!("{method}({name})"))?,
        }
    }
    Ok(())
}

/// Whether a result is one of a method; what is wrong with it otherwise.
pub(crate) fn check_result(method: &str, result: &Value) -> Result<(), String> {
    check(&specified(method)?["result"]["schema"], result, method)
}

/// What the double says that it is, in place of all that a node tells there.
pub(crate) fn described() -> Value {
    let version = &PARSED["info"]["version"];
    json!({ "openrpc": "1.2.6", "info": { "title": "a double of an IOTA node", "version": version } })
}

fn specified(method: &str) -> Result<&'static Value, String> {
    // What tells of all methods is not among them: it takes nothing, and is this file.
    if method == "rpc.discover" {
        return Ok(&Value::Null);
    }
    let mut methods = PARSED["methods"].as_array().into_iter().flatten();
    methods.find(|known| known["name"] == method).ok_or_else(|| format!("no method {method}"))
}

fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    if let Some(named) = schema.get("$ref").and_then(Value::as_str) {
        let name = named.rsplit('/').next().unwrap_or_default();
        return check(&PARSED["components"]["schemas"][name], value, at);
    }
    for part in list(schema, "allOf") {
        check(part, value, at)?;
    }
    for choice in ["anyOf", "oneOf"] {
        let parts = list(schema, choice);
        if !parts.is_empty() && !parts.iter().any(|part| check(part, value, at).is_ok()) {
            return Err(format!("{at}: none of {} kinds: {value}", parts.len()));
        }
    }
    let allowed = list(schema, "enum");
    if !allowed.is_empty() && !allowed.contains(value) {
        return Err(format!("{at}: not one of {allowed:?}: {value}"));
    }
    check_kind(schema, value, at)?;
    match value {
        Value::Object(fields) => check_fields(schema, fields, at),
        Value::Array(items) => check_items(schema, items, at),
        _ => Ok(()),
    }
}

fn check_kind(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(is),
        Some(kind) => is(kind),
    };
    let above = schema.get("minimum").and_then(Value::as_f64);
    let low = above.zip(value.as_f64()).is_some_and(|(minimum, value)| value < minimum);
    if fits && !low { Ok(()) } else { Err(format!("{at}: not of its kind: {value}")) }
}

fn check_fields(
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    at: &str,
) -> Result<(), String> {
    for name in list(schema, "required").iter().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(format!("{at}: no {name}"));
        }
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties");
    let composed = ["allOf", "anyOf", "oneOf"].iter().any(|part| schema.contains_key(*part));
    for (name, value) in fields {
        match (properties.and_then(|known| known.get(name)), others) {
            (Some(known), _) => check(known, value, &format!("{at}.{name}"))?,
            (None, Some(others)) if *others != false => check(others, value, at)?,
            (None, None) if properties.is_none() || composed => {}
            _ => return Err(format!("{at}: a field {name}")),
        }
    }
    Ok(())
}

fn check_items(schema: &Map<String, Value>, items: &[Value], at: &str) -> Result<(), String> {
    let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
    let length = items.len() as u64;
    if limit("minItems").is_some_and(|least| length < least)
        || limit("maxItems").is_some_and(|most| length > most)
    {
        return Err(format!("{at}: {length} items"));
    }
    for (index, item) in items.iter().enumerate() {
        let at = format!("{at}[{index}]");
        match schema.get("items") {
            Some(Value::Array(kinds)) => {
                check(kinds.get(index).unwrap_or(&Value::Null), item, &at)?
            }
            Some(kind) => check(kind, item, &at)?,
            None => {}
        }
    }
    Ok(())
}

fn list<'a>(schema: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    schema.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// All that was recorded of the methods in the file.
    #[test]
    fn what_was_recorded_is_as_the_file_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
        let mut checked = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let recorded: Value = serde_json::from_str(&text).unwrap();
            let request = &recorded["request"];
            let Some(method) = request["method"].as_str() else { continue };
            let params = request["params"].as_array().unwrap();
            let result = &recorded["response"]["result"];
            if specified(method).is_err() {
                continue;
            }
            check_params(method, params).unwrap();
            if !result.is_null() {
                check_result(method, result).unwrap();
                checked += 1;
            }
        }
        assert!(checked > 15, "only {checked}");
    }

    #[test]
    fn a_field_that_is_missing_or_too_many_or_of_another_kind_is_told() {
        let owner = json!(format!("0x{}", "8d".repeat(32)));
        let coins = "iotax_getCoins";
        assert_eq!(check_params(coins, std::slice::from_ref(&owner)), Ok(()));
        assert_eq!(check_params(coins, &[]), Err("iotax_getCoins: no owner".to_owned()));
        let limit = [owner, Value::Null, Value::Null, json!("50")];
        assert!(check_params(coins, &limit).unwrap_err().contains("not of its kind"));
        let balance = json!({ "coinType": "0x2::iota::IOTA", "coinObjectCount": 1, "total": "1" });
        assert!(check_result("iotax_getBalance", &balance).is_err());
        let balance =
            json!({ "coinType": "0x2::iota::IOTA", "coinObjectCount": 1, "totalBalance": 1 });
        assert!(check_result("iotax_getBalance", &balance).is_err());
        assert!(check_params("iota_noSuchMethod", &[]).is_err());
    }
}
