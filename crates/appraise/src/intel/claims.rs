//! A verified quote's claims.

use crate::claims::{Bytes, Claims, Kind, Root, TcbClaim, TcbStatus, Validity};
use dcap_qvl::quote::{EnclaveReport, Quote, Report, TDReport10, TDReport15};
use dcap_qvl::{PckCertFlag, QuoteClaims};
use std::collections::BTreeMap;

/// SGX ATTRIBUTES, first byte: DEBUG and KSS (Intel SDM volume 3D, section 35.7.1).
const SGX_DEBUG: u8 = 1 << 1;
const SGX_KSS: u8 = 1 << 7;
/// TD ATTRIBUTES: SERVTD_EXT and MIGRATABLE (Intel TDX Module ABI, table "ATTRIBUTES").
const TD_SERVICE: u64 = 1 << 17;
const TD_MIGRATABLE: u64 = 1 << 29;

/// What of the claims the report holds.
struct Body {
    kind: Kind,
    name: &'static str,
    measurements: BTreeMap<String, Bytes>,
    identity: BTreeMap<String, String>,
    detail: BTreeMap<String, String>,
    report_data: Bytes,
    debug: bool,
    migratable: Option<bool>,
}

/// Claims of a quote that verified under `root`.
pub(super) fn of(
    verified: &QuoteClaims,
    quote: &Quote,
    root: Root,
    validity: Vec<Validity>,
) -> Claims {
    let body = match &quote.report {
        Report::SgxEnclave(report) => enclave(report),
        Report::TD10(report) => domain(report, "TD 1.0"),
        Report::TD15(report) => domain_1_5(report, "TD 1.5"),
        Report::TD15Ex(report) => {
            let mut body = domain_1_5(&report.base, "TD 1.5 extended");
            body.identity.insert("td-id".into(), hex(report.td_id));
            // Service TDs bound since the TD was made show here alone.
            let bound = report.cur_service_td_hash != [0; 48];
            body.migratable = body.migratable.map(|yes| yes || bound);
            body
        }
    };
    let Body { kind, name, measurements, mut identity, mut detail, report_data, debug, migratable } =
        body;
    let pck = &verified.platform.pck;
    identity.extend(named([
        ("ppid", hex(&pck.ppid)),
        ("pce-id", hex(&pck.pce_id)),
        ("sgx-type", pck.sgx_type.to_string()),
        ("qe-id", hex(quote.header.user_data.first_chunk::<16>().unwrap_or(&[0; 16]))),
    ]));
    if let Some(instance) = &pck.platform_instance_id {
        identity.insert("platform-instance-id".into(), hex(instance));
    }
    for (name, flag) in
        [("dynamic-platform", pck.dynamic_platform), ("cached-keys", pck.cached_keys)]
    {
        if let Some(flag) = boolean(flag) {
            identity.insert(name.into(), flag.to_string());
        }
    }
    detail.extend(named([
        ("cpu-svn", hex(pck.cpu_svn)),
        ("pce-svn", pck.pce_svn.to_string()),
        ("tcb-date", verified.platform.tcb_level.tcb_date.clone()),
        ("platform-status", status(verified.platform.tcb_level.tcb_status).to_string()),
        ("tcb-evaluation-data-number", verified.tcb.eval_data_number.to_string()),
        ("qe-isv-svn", verified.qe.report.isv_svn.to_string()),
        ("qe-status", status(verified.qe.tcb_level.tcb_status).to_string()),
    ]));
    let mut notes = Vec::new();
    if relaunch(verified.tcb.status) {
        notes.push("the TDX module was updated under the running TD: relaunching it clears the out-of-date status".into());
    }
    Claims {
        kind,
        format: format!("quote v{}, {name}", quote.header.version),
        simulated: root.test,
        root,
        generation: Some(hex(pck.fmspc)),
        tcb: TcbClaim {
            status: status(verified.tcb.status),
            advisories: verified.tcb.advisory_ids.clone(),
            detail,
        },
        measurements,
        report_data,
        nonce: None,
        public_key: None,
        debug,
        migratable,
        smt: boolean(pck.smt_enabled),
        vmpl: None,
        identity,
        validity,
        issued_at: None,
        notes,
    }
}

fn enclave(report: &EnclaveReport) -> Body {
    let flags = report.attributes.first().copied().unwrap_or(SGX_DEBUG);
    let mut measurements = measured([
        ("mrenclave", report.mr_enclave.as_slice()),
        ("mrsigner", report.mr_signer.as_slice()),
    ]);
    let mut identity = BTreeMap::from(named([
        ("isv-prod-id", report.isv_prod_id.to_string()),
        ("attributes", hex(report.attributes)),
        ("misc-select", format!("{:08x}", report.misc_select)),
    ]));
    // Key separation and sharing gives meaning to bytes that are reserved otherwise (Intel SDM, table "REPORT").
    if flags & SGX_KSS != 0 {
        let tail = |reserved: &'_ [u8], at| reserved.get(at..).unwrap_or_default().to_vec();
        measurements.insert("config-id".into(), tail(&report.reserved3, 32).into());
        identity.insert("isv-ext-prod-id".into(), hex(tail(&report.reserved1, 12)));
        identity.insert("isv-family-id".into(), hex(tail(&report.reserved4, 44)));
    }
    Body {
        kind: Kind::Sgx,
        name: "SGX enclave",
        measurements,
        identity,
        detail: named([("isv-svn", report.isv_svn.to_string())]).into(),
        report_data: report.report_data.into(),
        debug: flags & SGX_DEBUG != 0,
        migratable: None,
    }
}

fn domain(report: &TDReport10, name: &'static str) -> Body {
    let attributes = u64::from_le_bytes(report.td_attributes);
    let [svn, major, ..] = report.tee_tcb_svn;
    Body {
        kind: Kind::Tdx,
        name,
        measurements: measured([
            ("mrtd", report.mr_td.as_slice()),
            ("mrconfigid", &report.mr_config_id),
            ("mrowner", &report.mr_owner),
            ("mrownerconfig", &report.mr_owner_config),
            ("rtmr0", &report.rt_mr0),
            ("rtmr1", &report.rt_mr1),
            ("rtmr2", &report.rt_mr2),
            ("rtmr3", &report.rt_mr3),
            ("mrseam", &report.mr_seam),
            ("mrsignerseam", &report.mr_signer_seam),
        ]),
        identity: named([
            ("td-attributes", hex(report.td_attributes)),
            ("seam-attributes", hex(report.seam_attributes)),
            ("xfam", hex(report.xfam)),
        ])
        .into(),
        detail: named([
            ("tee-tcb-svn", hex(report.tee_tcb_svn)),
            ("tdx-module-svn", svn.to_string()),
            ("tdx-module-version", major.to_string()),
        ])
        .into(),
        report_data: report.report_data.into(),
        // All eight bits of TUD, "TD under debug", make a TD untrusted: debugging is the lowest, others allow profiling.
        debug: attributes & 0xff != 0,
        migratable: Some(attributes & (TD_MIGRATABLE | TD_SERVICE) != 0),
    }
}

fn domain_1_5(report: &TDReport15, name: &'static str) -> Body {
    let mut body = domain(&report.base, name);
    body.measurements.insert("mrservicetd".into(), report.mr_service_td.into());
    body.detail.insert("tee-tcb-svn2".into(), hex(report.tee_tcb_svn2));
    body.migratable = body.migratable.map(|yes| yes || report.mr_service_td != [0; 48]);
    body
}

fn status(status: dcap_qvl::TcbStatus) -> TcbStatus {
    use dcap_qvl::TcbStatus as Intel;
    match status {
        Intel::UpToDate => TcbStatus::UpToDate,
        Intel::SWHardeningNeeded => TcbStatus::SwHardeningNeeded,
        Intel::ConfigurationNeeded => TcbStatus::ConfigurationNeeded,
        Intel::ConfigurationAndSWHardeningNeeded => TcbStatus::ConfigurationAndSwHardeningNeeded,
        // The TD runs on a current module but was launched, and measured, by an out-of-date one.
        Intel::OutOfDate | Intel::TDRelaunchAdvised => TcbStatus::OutOfDate,
        Intel::OutOfDateConfigurationNeeded | Intel::TDRelaunchAdvisedConfigurationNeeded => {
            TcbStatus::OutOfDateConfigurationNeeded
        }
        Intel::Revoked => TcbStatus::Revoked,
    }
}

fn relaunch(status: dcap_qvl::TcbStatus) -> bool {
    use dcap_qvl::TcbStatus as Intel;
    matches!(status, Intel::TDRelaunchAdvised | Intel::TDRelaunchAdvisedConfigurationNeeded)
}

fn boolean(flag: PckCertFlag) -> Option<bool> {
    match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    Bytes::from(bytes).to_string()
}

fn named<const N: usize>(pairs: [(&str, String); N]) -> [(String, String); N] {
    pairs.map(|(name, value)| (name.to_owned(), value))
}

fn measured<const N: usize>(pairs: [(&str, &[u8]); N]) -> BTreeMap<String, Bytes> {
    pairs.map(|(name, value)| (name.to_owned(), value.into())).into()
}
