//! Expected measurements of images, against other implementations.
#![expect(clippy::unwrap_used, reason = "tests")]

use adyton_appraise::expected::snp::{Guest, Kernel};
use adyton_appraise::expected::{eif, sigstruct, snp};

/// Made of a key by `openssl genrsa -3 3072`, signed by `openssl dgst -sha256 -sign`.
const SIGSTRUCT: &[u8] = include_bytes!("image/made.sig");

#[test]
fn a_signers_statement_is_read() {
    let found = sigstruct::measure(SIGSTRUCT).unwrap();
    let mrenclave = "74ff58e6e035cf6c348a49037a3a63765bded6e840e708e0b138adb6f4e619fa";
    let mrsigner = "d3a00b4b9136cb29587de89bd8e09baf0915cf0733b2b618cc208d974842efbf";
    assert_eq!(
        (found.mrenclave.to_string(), found.mrsigner.to_string()),
        (mrenclave.into(), mrsigner.into())
    );
    assert_eq!((found.isv_prod_id, found.isv_svn, found.date.as_str()), (7, 9, "20261126"));
    assert!(!found.debug_possible);
}

/// Outside of what is signed lie the key's own products, which the processor uses, and reserved bytes.
#[test]
fn a_changed_statement_is_refused() {
    for at in (0..516).chain(516..900).chain(900..1028).step_by(5) {
        let mut changed = SIGSTRUCT.to_vec();
        changed[at] ^= 1;
        assert!(sigstruct::measure(&changed).is_err(), "byte {at}");
    }
    for length in [0, 128, 1807] {
        assert!(sigstruct::measure(&SIGSTRUCT[..length]).is_err(), "{length}");
    }
}

fn image(sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b".eif\0\x04".to_vec();
    bytes.resize(26, 0);
    bytes.extend((sections.len() as u16).to_be_bytes());
    bytes.resize(284, 0);
    for (_, contents) in sections {
        bytes.extend((contents.len() as u64).to_be_bytes());
    }
    bytes.resize(548, 0);
    for (kind, contents) in sections {
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0; 2]);
        bytes.extend((contents.len() as u64).to_be_bytes());
        bytes.extend(*contents);
    }
    bytes
}

/// The values are of `sha384sum` over the same pieces, by the rule of AWS's image format library; PCR2 of an image without
/// an application's disk is the one that nitro-cli prints for all of these.
#[test]
fn an_enclave_image_is_measured() {
    let boot = [(1, b"a kernel".as_slice()), (2, b"console=ttyS0"), (3, b"boot disk")];
    let whole = [boot.as_slice(), &[(3, b"application"), (4, b"signature"), (5, b"{}")]].concat();
    let found = eif::measure(&image(&whole)).unwrap();
    assert!(found.pcr0.to_string().starts_with("83f64c1ddff291a154c2d7bdbd99547dc95f83601892e389"));
    assert!(found.pcr1.to_string().starts_with("e0fd11b79ee2d82af94b2ca7e0f3a7d7c51967c0da73d0af"));
    assert!(found.pcr2.to_string().starts_with("8a45599e5e77b24c4b6472869c24e10490c4d5df715fbd08"));
    assert!(found.signed);
    let found = eif::measure(&image(&boot)).unwrap();
    assert_eq!(found.pcr0, found.pcr1);
    assert_eq!(
        found.pcr2.to_string(),
        "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
    );
    assert!(!found.signed);
}

#[test]
fn malformed_enclave_images_are_refused() {
    let whole = image(&[(1, b"a kernel"), (3, b"boot disk")]);
    for length in 0..whole.len() {
        assert!(eif::measure(&whole[..length]).is_err(), "{length}");
    }
    assert!(eif::measure(&[whole.as_slice(), b"\0"].concat()).is_err());
    for sections in
        [[(1, b"k".as_slice()), (9, b"d")], [(1, b"k"), (1, b"k")], [(3, b"d"), (3, b"d")]]
    {
        assert!(eif::measure(&image(&sections)).is_err());
    }
    // A length that only one of the two headers has, and one that no file has.
    for at in [284, 548 + 4] {
        let mut changed = whole.clone();
        changed[at] = 0xFF;
        assert!(eif::measure(&changed).is_err(), "{at}");
    }
}

const HASH_TABLE: &[u8; 16] = b"\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54";
const RESET: &[u8; 16] = b"\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e";
const METADATA: &[u8; 16] = b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc";
const FOOTER: &[u8; 16] = b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";

/// Two pages with the tables of OVMF, and a pattern where its code would be.
fn firmware() -> Vec<u8> {
    let mut table = Vec::new();
    let mut entry = |contents: &[u32], name: &[u8; 16]| {
        table.extend(contents.iter().flat_map(|word| word.to_le_bytes()));
        table.extend((contents.len() as u16 * 4 + 18).to_le_bytes());
        table.extend(name);
    };
    entry(&[0x81_0400, 0x400], HASH_TABLE);
    entry(&[0x80_B004], RESET);
    entry(&[0x600], METADATA);
    table.extend((table.len() as u16 + 18).to_le_bytes());
    table.extend(FOOTER);
    let sections = [
        [0x80_0000, 0x9000, 1],
        [0x80_A000, 0x3000, 1],
        [0x80_D000, 0x1000, 2],
        [0x80_E000, 0x1000, 3],
        [0x80_F000, 0x1000, 4],
        [0x81_0000, 0x1000, 0x10_u32],
    ];
    let mut description = b"ASEV".to_vec();
    let head = [16 + 12 * sections.len() as u32, 1, sections.len() as u32];
    let words = head.into_iter().chain(sections.into_iter().flatten());
    description.extend(words.flat_map(u32::to_le_bytes));
    let mut image: Vec<u8> = (0..8192_u32).map(|i| (i * 7 % 251) as u8).collect();
    image[8192 - 32 - table.len()..8192 - 32].copy_from_slice(&table);
    image[8192 - 0x600..][..description.len()].copy_from_slice(&description);
    image
}

fn guest(firmware: &[u8]) -> Guest<'_> {
    let kernel =
        Kernel { kernel: b"a kernel", initrd: b"an initrd", command_line: "console=ttyS0" };
    let vcpu_type = "EPYC-v4".parse().unwrap();
    Guest { firmware, kernel: Some(kernel), vcpus: 1, vcpu_type, guest_features: 1 }
}

/// The digests are of IBM's and AMD's sev-snp-measure 0.0.13 for the same files.
#[test]
fn launch_digests_are_those_of_sev_snp_measure() {
    let firmware = firmware();
    let first = guest(&firmware);
    let bare = Guest { kernel: None, ..first };
    let kernel = first.kernel.map(|kernel| Kernel { initrd: b"", command_line: "", ..kernel });
    let of = |name: &str| name.parse().unwrap();
    for (guest, digest) in [
        (
            first,
            "202cbba67dae0844f36df8eb205415b52c6c2d921bfe786beb85545d66f894d96f623e3c72599a8e680f70dc347d1e5a",
        ),
        (
            Guest { vcpus: 4, vcpu_type: of("EPYC-Milan"), guest_features: 0x21, kernel, ..first },
            "72700cfa708d85a1063575ceacd285660092716f4e6634f9dd3408fe3112f2c8ce432dd4caba5220621aac1b8bf0b896",
        ),
        (
            Guest { vcpus: 2, vcpu_type: of("EPYC-Genoa"), ..bare },
            "202adb5e4ed4996e440d319ae076757b8dc99ed7144a8bf3c4607860e2eb0481e272e169b64f4d224d1226f6ca2c2767",
        ),
        (
            Guest { vcpu_type: of("EPYC-Rome-v2"), ..bare },
            "6bbc9916c1de58b0a4424242a81075aafa14e13d30d5eba99513b854c5a2eb7aae850034d49157e210a5bade5989d71d",
        ),
        (
            Guest { vcpu_type: of("EPYC-Turin"), ..bare },
            "e553d4f4f31890b2b4307abdd845aa216483565f9036f43fe2fdfa469b250037ed576dfb52f74d98b78271133316f76e",
        ),
    ] {
        assert_eq!(snp::measure(&guest).unwrap().to_string(), digest);
    }
    assert_eq!(of("0xa00f11"), of("EPYC-Milan"));
    assert!("EPYC-Naples".parse::<snp::VcpuType>().is_err());
}

#[test]
fn firmware_that_cannot_hold_a_guest_to_its_files_is_refused() {
    let whole = firmware();
    for length in [0, 50, 4096, 8191] {
        assert!(snp::measure(&guest(&whole[..length])).is_err(), "{length}");
    }
    // The last section is the one for hashes: as plain memory it would leave the kernel unmeasured.
    let last = 8192 - 0x600 + 16 + 12 * 5;
    let mut changed = whole.clone();
    changed[last + 8] = 1;
    let error = snp::measure(&guest(&changed)).unwrap_err();
    assert!(error.to_string().contains("would start any kernel"), "{error}");
    // No page, a huge section, an unknown kind, a table of another name, a count that no image has.
    for (at, value) in
        [(last, 1), (last + 7, 0x7F), (last + 8, 9), (8192 - 32 - 16, 0xFF), (8192 - 0x600 + 14, 1)]
    {
        let mut changed = whole.clone();
        changed[at] = value;
        assert!(snp::measure(&guest(&changed)).is_err(), "{at}");
    }
    for vcpus in [0, u32::MAX] {
        assert!(snp::measure(&Guest { vcpus, ..guest(&whole) }).is_err());
    }
}

/// Whatever stands in the tables, the answer is an error or a digest.
#[test]
fn no_byte_of_the_tables_ends_the_program() {
    let whole = firmware();
    for at in (8192 - 0x600..8192 - 0x600 + 88).chain(8192 - 140..8192 - 32) {
        for value in [0, 1, 0x80, 0xFF] {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = snp::measure(&guest(&changed));
        }
    }
}
