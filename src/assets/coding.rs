//! Content codings: which one a client takes, and what makes them.

use std::io::Write;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_ENCODING;
use bytes::Bytes;

/// Whether `Accept-Encoding` takes `coding` (RFC 9110, 12.5.3): its own entry decides, else `*`.
pub(super) fn accepts(request: &HeaderMap, coding: &str) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let entries: Vec<(&str, bool)> = lines.flat_map(|line| line.split(',')).map(entry).collect();
    let taken = |name: &str| {
        entries.iter().find(|(entry, _)| entry.eq_ignore_ascii_case(name)).map(|(_, taken)| *taken)
    };
    taken(coding).or_else(|| taken("*")).unwrap_or(false)
}

/// One entry, `gzip;q=0.5`: the coding and whether it is taken. A weight of zero means "not this".
fn entry(entry: &str) -> (&str, bool) {
    let (name, parameters) = entry.split_once(';').unwrap_or((entry, ""));
    let weight = parameters.trim().strip_prefix("q=").or(parameters.trim().strip_prefix("Q="));
    let refused =
        weight.is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
    (name.trim(), !refused)
}

pub(super) fn brotli(mut plain: &[u8]) -> Option<Bytes> {
    let mut packed = Vec::new();
    let params = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut plain, &mut packed, &params).ok()?;
    Some(packed.into())
}

pub(super) fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// Whether brotli and whether gzip is taken.
    fn taken(lines: &[&str]) -> (bool, bool) {
        let request = lines.iter().map(|line| (ACCEPT_ENCODING, line.parse().unwrap())).collect();
        (accepts(&request, "br"), accepts(&request, "gzip"))
    }

    #[test]
    fn a_coding_is_taken_by_its_own_entry_or_by_the_star() {
        for (line, expected) in [
            ("gzip, deflate, br", (true, true)),
            ("GZIP; q=0.5", (false, true)),
            ("*", (true, true)),
            ("identity, deflate", (false, false)),
            ("gzipped, brotli", (false, false)),
            ("", (false, false)),
        ] {
            assert_eq!(taken(&[line]), expected, "{line}");
        }
        assert_eq!(taken(&["identity", "br"]), (true, false), "the header may come twice");
        assert_eq!(taken(&[]), (false, false));
    }

    #[test]
    fn a_coding_of_weight_zero_is_refused() {
        for (line, expected) in [
            ("br;q=0, gzip", (false, true)),
            ("br; q=0.000, GZIP; q=0.5", (false, true)),
            ("br;Q=0, gzip;q=0.001", (false, true)),
            ("br;q=0, *", (false, true)),
            ("br, *;q=0", (true, false)),
            ("*;q=0", (false, false)),
        ] {
            assert_eq!(taken(&[line]), expected, "{line}");
        }
    }

    #[test]
    fn what_is_packed_is_smaller_and_comes_back() {
        let plain = b"the same words, ".repeat(64);
        let (brotli, gzip) = (brotli(&plain).unwrap(), gzip(&plain).unwrap());
        assert!(brotli.len() < 64 && gzip.len() < 64, "{} {}", brotli.len(), gzip.len());
        let mut unpacked = Vec::new();
        brotli::BrotliDecompress(&mut &brotli[..], &mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        unpacked.clear();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }
}
