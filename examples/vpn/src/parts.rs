//! The parts of a file that are read one by one. The tree of a file with a thousand peers takes more memory than
//! the peers, and what it leaves free between them never goes back to the system.

use core::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

pub(crate) struct Parts {
    /// The text with spaces in place of the peers, so that everything else is where it was.
    pub(crate) rest: String,
    /// Each from its `[[peer]]` to the next header that is no part of it.
    pub(crate) peers: Vec<Range<usize>>,
}

/// Where the parts are. A text that is not TOML has a part that is not TOML.
pub(crate) fn cut(text: &str) -> Parts {
    let mut peers: Vec<Range<usize>> = Vec::new();
    let mut begun = None;
    let (mut depth, mut begins_line) = (0_usize, true);
    for token in Source::new(text).lex() {
        let at = token.span().start();
        match token.kind() {
            TokenKind::Newline => begins_line = true,
            TokenKind::Whitespace => {}
            kind => {
                let is_header = begins_line && depth == 0 && kind == TokenKind::LeftSquareBracket;
                begins_line = false;
                match kind {
                    TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => {
                        depth = depth.saturating_add(1);
                    }
                    TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                        depth = depth.saturating_sub(1);
                    }
                    _ => {}
                }
                let header = is_header.then(|| Header::of(text.get(at..).unwrap_or_default()));
                let next = match header {
                    Some(Header::Peer) => Some(at),
                    Some(Header::Other) => None,
                    Some(Header::OfPeer) | None => continue,
                };
                peers.extend(begun.map(|begun| begun..at));
                begun = next;
            }
        }
    }
    peers.extend(begun.map(|begun| begun..text.len()));
    Parts {
        rest: without(text, &peers),
        peers,
    }
}

enum Header {
    /// `[[peer]]`
    Peer,
    /// A table of the peer before.
    OfPeer,
    Other,
}

impl Header {
    fn of(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        let head = line.split(']').next().unwrap_or_default();
        let (keys, is_array) = match head.strip_prefix("[[") {
            Some(keys) => (keys, true),
            None => (head.strip_prefix('[').unwrap_or(head), false),
        };
        let mut keys = keys.split('.').map(str::trim);
        match (keys.next(), keys.next()) {
            (Some("peer"), None) if is_array => Self::Peer,
            (Some("peer"), Some(_)) => Self::OfPeer,
            _ => Self::Other,
        }
    }
}

fn without(text: &str, parts: &[Range<usize>]) -> String {
    let mut rest = String::with_capacity(text.len());
    let mut end = 0;
    for part in parts {
        rest.push_str(text.get(end..part.start).unwrap_or_default());
        rest.extend(core::iter::repeat_n(' ', part.len()));
        end = part.end;
    }
    rest.push_str(text.get(end..).unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        let parts = cut(text);
        assert_eq!(parts.rest.len(), text.len());
        parts
            .peers
            .into_iter()
            .filter_map(|part| text.get(part))
            .collect()
    }

    #[test]
    fn only_headers_begin_parts() {
        let peers = [
            "[[peer]]\nname = '''\n[[peer]]\n[other]\n'''\n[peer.more]\nx = 1\n ",
            "[[ peer ]] # one\ny = { z = [\n[other]\n] }\n",
            "[[peer]]",
        ];
        let before = "a = [\n[[\"peer\"]],\n]\nb = \"\"\"\n[[peer]]\n\"\"\"\n# [[peer]]\n";
        let between = "[other]\n[[peer.deep]]\n[[\"peer\"]]\n[peer]\n";
        let text = [before, peers[0], peers[1], between, peers[2]].concat();
        assert_eq!(parts(&text), peers);
        let blank = |part: &str| " ".repeat(part.len());
        let [first, second, third] = peers.map(blank);
        assert_eq!(
            cut(&text).rest,
            [before, &first, &second, between, &third].concat()
        );
    }

    #[test]
    fn a_text_without_peers_is_its_own_rest() {
        for text in [
            "",
            "[interface]\nname = \"\u{e4}\"\n",
            "]]\n[[peer.x",
            "[[\n",
        ] {
            assert_eq!((cut(text).rest.as_str(), parts(text).len()), (text, 0));
        }
    }
}
