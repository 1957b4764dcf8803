//! Every way into a tunnel, which must all give the same bytes.

use ipencap::encap::{Encapsulate, PerPacket, Rules, header};
use ipencap::error::EncapError;
use ipencap::packet::{Facts, Packet};
use ipencap::{Span, encap};

/// More than the headers of any tunnel in these tests.
const MOST_HEADERS: usize = 256;

/// The answer of `tunnel` to `inner`, the same through every door.
///
/// Free bytes that are not the outer header's stay as they were, and all bytes where the answer is
/// an error (E-19, E-23).
pub(crate) fn through_doors<E: Encapsulate + ?Sized>(
    id: &str,
    tunnel: &E,
    inner: &[u8],
    packet: PerPacket,
) -> Result<Vec<u8>, EncapError> {
    let overhead = tunnel.overhead();
    // 7 bytes more than needed, so that no header is aligned.
    let headroom = overhead + 7;
    let before: Vec<u8> = [&vec![0xa5; headroom], inner, &[0x5a; 5]].concat();
    let span = Span::new(headroom, inner.len());

    let mut answers: Vec<(&str, Result<Vec<u8>, EncapError>)> = Vec::new();
    let mut record = |door, after: Vec<u8>, answer: Result<Vec<u8>, EncapError>| {
        let expected = match &answer {
            Ok(outer) => [&before[..headroom - overhead], outer, &[0x5a; 5]].concat(),
            Err(_) => before.clone(),
        };
        assert_eq!(after, expected, "{id}, {door}: the buffer");
        answers.push((door, answer));
    };

    let mut buffer = before.clone();
    let answer = encap(tunnel, &mut buffer, span, &packet).map(|outer| outer.to_vec());
    record("encap()", buffer, answer);

    let mut buffer = before.clone();
    let mut borrowed = Packet::new(&mut buffer, span);
    let answer = borrowed.wrap(tunnel, &packet);
    let answer = answer.map(|()| borrowed.as_slice().to_vec());
    record("Packet::wrap", buffer, answer);

    let mut buffer = before.clone();
    let proven = Packet::new(&mut buffer, span).prove();
    let answer = match proven {
        Ok(proven) => proven.wrap(tunnel, &packet).map(|outer| outer.to_vec()),
        Err(error) => Err(error.into()),
    };
    record("Proven::wrap", buffer, answer);

    let mut buffer = before.clone();
    let answer = check_and_write(tunnel, &mut buffer[7..headroom + inner.len()], &packet);
    record("check and write", buffer, answer);

    let mut buffer = before.clone();
    let dynamic: &dyn Encapsulate = &tunnel;
    let answer = encap(dynamic, &mut buffer, span, &packet).map(|outer| outer.to_vec());
    record("dyn Encapsulate", buffer, answer);

    #[cfg(feature = "heapless")]
    {
        let mut owned = ipencap::packet::PacketBuf::<66_000>::new(headroom, inner).unwrap();
        let answer = owned
            .with_packet(|borrowed| borrowed.wrap(tunnel, &packet))
            .map(|()| owned.as_slice().to_vec());
        answers.push(("PacketBuf", answer));
    }

    let (_, first) = answers[0].clone();
    for (door, answer) in answers {
        assert_eq!(answer, first, "{id}, {door}: another answer than encap()");
    }
    check_headers(id, tunnel, inner, &packet, &first);

    // E-19: a byte too little in front is an error that says so, and nothing is written.
    if let (Ok(_), Some(have)) = (&first, overhead.checked_sub(1)) {
        let mut buffer = before[headroom - have..].to_vec();
        let untouched = buffer.clone();
        let span = Span::new(have, inner.len());
        let error = encap(tunnel, &mut buffer, span, &packet).unwrap_err();
        let [need, have] = [overhead, have].map(|len| u16::try_from(len).unwrap());
        assert_eq!(error, EncapError::NoHeadroom { need, have }, "{id}: E-19");
        assert_eq!(buffer, untouched, "{id}: E-19");
    }
    first
}

/// The two steps that [`encap`] makes, for callers who make them apart.
fn check_and_write<E: Encapsulate + ?Sized>(
    tunnel: &E,
    frame: &mut [u8],
    packet: &PerPacket,
) -> Result<Vec<u8>, EncapError> {
    let inner = Facts::read(&frame[tunnel.overhead()..])?;
    let outer = tunnel.check(&inner, packet, Rules::Explained)?;
    let len = usize::try_from(outer.len()).unwrap();
    let frame = &mut frame[..len];
    let written = tunnel.write(frame, &inner, packet, Rules::Explained);
    assert_eq!(written, outer, "the facts of the outer packet");
    Ok(frame.to_vec())
}

/// By value the headers are the same, where the tunnel can make them without the packet.
fn check_headers<E: Encapsulate + ?Sized>(
    id: &str,
    tunnel: &E,
    inner: &[u8],
    packet: &PerPacket,
    expected: &Result<Vec<u8>, EncapError>,
) {
    let summed = Facts::summed(inner).map_err(EncapError::from);
    match summed.and_then(|facts| header::<MOST_HEADERS, _>(tunnel, &facts, packet)) {
        // Minimal encapsulation changes the packet itself.
        Err(EncapError::NotByValue) => {}
        Ok(headers) => {
            let outer = expected.as_ref().map(|outer| &outer[..tunnel.overhead()]);
            assert_eq!(Ok(headers.as_slice()), outer, "{id}: by value");
        }
        Err(error) => assert_eq!(expected, &Err(error), "{id}: by value"),
    }
}
