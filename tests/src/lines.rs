//! The JSON lines as CONTRACT fixes them: which fields, of which types.
//!
//! More fields and more events may come, which readers skip; these stay.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// Checks one line against the contract; an unknown event with a name passes.
///
/// # Errors
/// What is wrong, in words.
pub fn check(line: &Value) -> Result<(), String> {
    let event = line["event"].as_str().ok_or("no `event`")?;
    match event {
        "joined" => {
            node(line)?;
            text(line, "name")?;
            text(line, "bus")?;
            listen(line)
        }
        "peer_up" => {
            node(line)?;
            text(line, "name")?;
            address(&line["addr"])?;
            text(line, "via")
        }
        "peer_down" => {
            node(line)?;
            text(line, "name")?;
            text(line, "reason")
        }
        "subscribed" => text(line, "pattern"),
        "message" => {
            text(line, "topic")?;
            node(line)?;
            text(line, "name")?;
            number(line, "seq")?;
            payload(line).map(drop)
        }
        "gap" => {
            node(line)?;
            number(line, "missed")?;
            match &line["at_least"] {
                Value::Null | Value::Bool(_) => Ok(()),
                other => Err(format!("`at_least` is {other}")),
            }
        }
        "reply" => {
            node(line)?;
            payload(line).map(drop)
        }
        "published" => {
            text(line, "topic")?;
            number(line, "count")?;
            number(line, "nodes")
        }
        "peer" => {
            node(line)?;
            text(line, "name")?;
            address(&line["addr"])?;
            number(line, "rtt_us")
                .or_else(|error| if line["rtt_us"].is_null() { Ok(()) } else { Err(error) })?;
            number(line, "since_ms")
        }
        _ => Ok(()),
    }
}

/// The payload of a message line, from `payload` or `payload_base64`.
///
/// # Errors
/// If it has neither, both, or base64 of what would have been text.
pub fn payload(line: &Value) -> Result<Vec<u8>, String> {
    match (&line["payload"], &line["payload_base64"]) {
        (Value::String(text), Value::Null) => Ok(text.clone().into_bytes()),
        (Value::Null, Value::String(encoded)) => {
            let bytes =
                data_encoding::BASE64.decode(encoded.as_bytes()).map_err(|error| error.to_string())?;
            match std::str::from_utf8(&bytes) {
                Ok(text) => Err(format!("base64 of plain text {text:?}")),
                Err(_) => Ok(bytes),
            }
        }
        _ => Err("not one of `payload` and `payload_base64`".to_owned()),
    }
}

/// The node of a line: 32 lower-case hex digits.
///
/// # Errors
/// If it is anything else.
pub fn node(line: &Value) -> Result<(), String> {
    let id = line["node"].as_str().ok_or("no `node`")?;
    let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if id.len() == 32 && hex { Ok(()) } else { Err(format!("`node` is {id:?}")) }
}

/// The address in a string, the scope of a link-local one left out.
///
/// # Errors
/// If it is none, or none that anybody could dial.
pub fn address(value: &Value) -> Result<SocketAddr, String> {
    let text = value.as_str().ok_or_else(|| format!("an address is {value}"))?;
    let plain = match (text.find('%'), text.find(']')) {
        (Some(from), Some(to)) => format!("{}{}", &text[..from], &text[to..]),
        _ => text.to_owned(),
    };
    let address: SocketAddr = plain.parse().map_err(|_| format!("{text:?} is no address"))?;
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(format!("{text:?} is nothing to dial"));
    }
    match address.ip() {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => Err(format!("{text:?} should be told as IPv4")),
        _ => Ok(address),
    }
}

fn listen(line: &Value) -> Result<(), String> {
    let list = line["listen"].as_array().filter(|list| !list.is_empty()).ok_or("no `listen`")?;
    let addresses: Vec<SocketAddr> = list.iter().map(address).collect::<Result<_, _>>()?;
    let port = addresses.first().map(SocketAddr::port);
    if addresses.iter().any(|address| Some(address.port()) != port) {
        return Err(format!("several ports in {list:?}"));
    }
    Ok(())
}

fn text(line: &Value, field: &str) -> Result<(), String> {
    match line[field].as_str() {
        Some(text) if !text.is_empty() => Ok(()),
        _ => Err(format!("`{field}` is {}", line[field])),
    }
}

fn number(line: &Value, field: &str) -> Result<(), String> {
    line[field].as_u64().map(drop).ok_or_else(|| format!("`{field}` is {}", line[field]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_contract_s_own_lines_pass() {
        let id = "0123456789abcdef0123456789abcdef";
        for line in [
            json!({"event":"joined","node":id,"name":"a","bus":"b","listen":["127.0.0.1:40001","[fd00::7]:40001","[fe80::1%2]:40001"]}),
            json!({"event":"peer_up","node":id,"name":"a","addr":"127.0.0.1:4","via":"multicast"}),
            json!({"event":"peer_down","node":id,"name":"a","reason":"left"}),
            json!({"event":"message","topic":"t","node":id,"name":"a","seq":17,"payload":""}),
            json!({"event":"message","topic":"t","node":id,"name":"a","seq":17,"payload_base64":"/w=="}),
            json!({"event":"gap","node":id,"missed":3,"at_least":true}),
            json!({"event":"reply","node":id,"payload":"x"}),
            json!({"event":"tomorrow"}),
        ] {
            check(&line).unwrap();
        }
    }

    #[test]
    fn what_readers_could_not_use_is_told() {
        let id = "0123456789abcdef0123456789abcdef";
        for line in [
            json!({}),
            json!({"event":"joined","node":id,"name":"a","bus":"b","listen":["127.0.0.1:1","[::1]:2"]}),
            json!({"event":"joined","node":id,"name":"a","bus":"b","listen":["0.0.0.0:1"]}),
            json!({"event":"joined","node":id,"name":"a","bus":"b","listen":["[::ffff:127.0.0.1]:1"]}),
            json!({"event":"peer_up","node":id.to_uppercase(),"name":"a","addr":"127.0.0.1:4","via":"multicast"}),
            json!({"event":"message","topic":"t","node":id,"name":"a","seq":17}),
            json!({"event":"message","topic":"t","node":id,"name":"a","seq":17,"payload_base64":"aGk="}),
            json!({"event":"message","topic":"t","node":id,"name":"a","seq":-1,"payload":"x"}),
            json!({"event":"gap","node":id,"missed":"3"}),
            json!({"event":"reply","node":id}),
        ] {
            check(&line).unwrap_err();
        }
    }
}
