use super::*;

const MESSAGE: &[u8] = include_bytes!("../../tests/vectors/swtpm/quote.msg");
const SIGNATURE: &[u8] = include_bytes!("../../tests/vectors/swtpm/quote.sig");
const AK: &str = include_str!("../../tests/vectors/swtpm/ak.pem");
const QUALIFYING: &str = include_str!("../../tests/vectors/swtpm/qualifying_data.hex");

#[test]
fn another_nonce_is_refused() {
    let key = public::read_text(AK).unwrap();
    let nonce = crate::text::hex(QUALIFYING).unwrap();
    let quote = verify_quote(MESSAGE, SIGNATURE, &key, Some(&nonce)).unwrap();
    assert_eq!(quote, verify_quote(MESSAGE, SIGNATURE, &key, None).unwrap());
    assert_eq!(quote.extra_data, nonce);
    for wrong in [&nonce[..31], &[0; 32], &[]] {
        let refused = verify_quote(MESSAGE, SIGNATURE, &key, Some(wrong)).unwrap_err();
        assert_eq!(refused.code, "report-data");
    }
}

/// `TPM2B_PUBLIC` of the sample's key with these attributes.
fn structure(attributes: u32) -> String {
    let spki = public::read_text(AK).unwrap().to_spki().unwrap();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    let mut public = vec![0, 0x23, 0, 0x0b];
    public.extend(attributes.to_be_bytes());
    public.extend([0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 32]);
    public.extend(x);
    public.extend([0, 32]);
    public.extend(y);
    let length = u16::try_from(public.len()).unwrap().to_be_bytes();
    Bytes([&length[..], &public].concat()).to_string()
}

#[test]
fn a_key_that_signs_what_it_is_given_is_no_attestation_key() {
    let right = public::read_text(&structure(0x0005_0072)).unwrap();
    assert_eq!(right, public::read_text(AK).unwrap());
    // Not restricted; not signing; decrypting too.
    for attributes in [0x0004_0072, 0x0001_0072, 0x0007_0072] {
        let refused = public::read_text(&structure(attributes)).unwrap_err();
        assert_eq!(refused.code, "untrusted-root");
    }
    let whole = structure(0x0005_0072);
    for length in (2..whole.len()).step_by(2) {
        assert!(public::read_text(&whole[..length]).is_err(), "{length}");
    }
}
