//! `ipencap endpoint`: a script of packets, and what an end of a tunnel does with each.

use std::io::{self, BufRead, Read, Write};

use ipencap::decap::Prefix;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, say};
use crate::tunnel::{End, Event, Memory, Outcome, Policy, Spec};

/// What a line is at most, in bytes: room for the longest IPv4 packet, and for much behind it.
const MAX_LINE_LEN: u64 = 1 << 20;

const EXPECTED: &str =
    "expected an object with one of \"out\", \"in\" and \"local_mtu\", and perhaps \"t\"";

/// A line of the script.
struct Step {
    /// In milliseconds.
    time: u64,
    event: Event,
}

/// Answers each line of standard input with one on standard output.
pub(crate) fn run(tunnels: &[Spec], mut policy: Policy) -> Result<(), Failure> {
    let inner = tunnels.first().map_or(&[][..], Spec::inner);
    policy.allowed.extend(inner);
    if policy.allowed.is_empty() {
        say(
            "ipencap: there is no --allowed PREFIX: inner sources in 0.0.0.0/0, all of them, are \
             accepted from the peer",
        );
        policy.allowed.push(Prefix::ANY);
    }
    let mut memory = Memory::new(tunnels, &policy);
    let Some(mut end) = End::new(tunnels, &policy, &mut memory) else {
        return Err(Failure::new("there is no --tunnel"));
    };
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    let mut last_time = 0;
    for number in 1_u64.. {
        line.clear();
        let read = (&mut input)
            .take(MAX_LINE_LEN)
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::new(format_args!("cannot read standard input: {error}")))?;
        if read == 0 {
            break;
        }
        let step = step(&line, last_time).map_err(|wrong| {
            Failure::new(format_args!("line {number} of standard input: {wrong}"))
        })?;
        last_time = step.time;
        let outcome = end.handle(step.time, step.event);
        // Flushed each time: whoever writes the script may wait for the answer.
        writeln!(output, "{}", shown(step.time, &outcome))
            .and_then(|()| output.flush())
            .map_err(|error| Failure::write("standard output", &error))?;
    }
    Ok(())
}

fn shown(time: u64, outcome: &Outcome) -> Value {
    let digits = |packets: &[Vec<u8>]| -> Vec<String> {
        packets.iter().map(|packet| hex_digits(packet)).collect()
    };
    json!({
        "t": time,
        "verdict": outcome.verdict,
        "network": digits(&outcome.network),
        "inner": digits(&outcome.inner),
        "reason": outcome.reason,
        "inner_mtu": outcome.inner_mtu,
    })
}

fn step(line: &[u8], last_time: u64) -> Result<Step, String> {
    if line.len() as u64 == MAX_LINE_LEN && !line.ends_with(b"\n") {
        return Err(format!("it is longer than {MAX_LINE_LEN} bytes"));
    }
    if line.trim_ascii().is_empty() {
        return Err(format!("it is empty; {EXPECTED}"));
    }
    let value = serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        // Every line is the first one to the parser.
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("not JSON at column {}: {what}", error.column())
    })?;
    let Value::Object(object) = value else {
        return Err(EXPECTED.to_owned());
    };
    let time = match object.get("t") {
        Some(time) => whole(time).ok_or_else(|| {
            format!("\"t\" is {time}: expected milliseconds, a whole number from 0")
        })?,
        None => last_time,
    };
    Ok(Step {
        time,
        event: event(&object)?,
    })
}

fn event(object: &Map<String, Value>) -> Result<Event, String> {
    let known = ["t", "out", "in", "local_mtu"];
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("there is no key \"{unknown}\"; {EXPECTED}"));
    }
    let mut events = object.iter().filter(|(key, _)| *key != "t");
    let (Some((key, value)), None) = (events.next(), events.next()) else {
        return Err(EXPECTED.to_owned());
    };
    match key.as_str() {
        "out" => Ok(Event::Out(packet(key, value)?)),
        "in" => Ok(Event::In(packet(key, value)?)),
        _ => match whole(value) {
            // No IPv4 packet is longer than 65535 bytes.
            Some(mtu) => Ok(Event::LocalMtu(u16::try_from(mtu).unwrap_or(u16::MAX))),
            None => Err(format!(
                "\"{key}\" is {value}: expected bytes, a whole number from 0"
            )),
        },
    }
}

/// A whole number from 0, also as some programs write it: 5.0.
fn whole(value: &Value) -> Option<u64> {
    // As text a double that is whole has neither point nor exponent.
    let rounded = || value.as_f64()?.to_string().parse().ok();
    value.as_u64().or_else(rounded)
}

fn packet(key: &str, value: &Value) -> Result<Vec<u8>, String> {
    let wrong =
        || format!("\"{key}\" is no packet: expected a string of hexadecimal digits, two a byte");
    let digits = value.as_str().ok_or_else(wrong)?.as_bytes();
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => Some((nibble(high)? << 4 | nibble(low)?) as u8),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(wrong)
}

fn hex_digits(packet: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = packet.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}
