use super::*;
use adyton_attest::Simulated;
use tempfile::TempDir;

struct Disk {
    state: TempDir,
    platform: TempDir,
}

type Records = Vec<Vec<u8>>;

impl Disk {
    fn new() -> Self {
        Self { state: tempfile::tempdir().unwrap(), platform: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Result<(Store, Records), StoreError> {
        let executable = std::env::current_exe().unwrap();
        let platform =
            Arc::new(Simulated::open_measured(self.platform.path(), &executable).unwrap());
        let mut records = Vec::new();
        let store = Store::open(StateFile::claim(self.state.path())?, platform, |_, record| {
            records.push(record.to_vec());
            Ok::<(), StoreError>(())
        })?;
        Ok((store, records))
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.state.path().join(NAME)).unwrap()
    }

    fn put(&self, bytes: &[u8]) {
        std::fs::write(self.state.path().join(NAME), bytes).unwrap();
    }
}

fn record(i: u8) -> Vec<u8> {
    vec![i; 10 + usize::from(i)]
}

#[test]
fn records_come_back_in_order_and_by_place() {
    let disk = Disk::new();
    let (mut store, none) = disk.open().unwrap();
    assert!(none.is_empty());
    let places: Vec<Place> = (0..5).map(|i| store.append(&record(i)).unwrap()).collect();
    assert!(matches!(disk.open(), Err(StoreError::InUse)));
    drop(store);
    let (mut store, records) = disk.open().unwrap();
    assert_eq!(records, (0..5).map(record).collect::<Records>());
    assert_eq!(store.record(places[3]).unwrap().as_slice(), record(3));
    store.append(&record(5)).unwrap();
    assert_eq!(store.records(), 6);
}

#[test]
fn a_rolled_back_file_is_refused() {
    let disk = Disk::new();
    let (mut store, _) = disk.open().unwrap();
    store.append(&record(0)).unwrap();
    let old = disk.bytes();
    store.append(&record(1)).unwrap();
    drop(store);
    disk.put(&old);
    assert!(matches!(disk.open(), Err(StoreError::RolledBack { records: 1, counted: 2 })));
    disk.put(&[]);
    assert!(matches!(disk.open(), Err(StoreError::RolledBack { records: 0, counted: 2 })));
}

#[test]
fn any_altered_byte_is_refused() {
    let disk = Disk::new();
    let (mut store, _) = disk.open().unwrap();
    (0..3).for_each(|i| {
        store.append(&record(i)).unwrap();
    });
    drop(store);
    let whole = disk.bytes();
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 0x10;
        disk.put(&bent);
        let refused =
            matches!(disk.open(), Err(StoreError::RolledBack { .. } | StoreError::Foreign));
        assert!(refused, "byte {at}");
    }
    disk.put(&whole);
    assert_eq!(disk.open().unwrap().1.len(), 3);
}

#[test]
fn a_crash_at_any_byte_of_an_append_leaves_a_state_that_opens() {
    let disk = Disk::new();
    let (mut store, _) = disk.open().unwrap();
    store.append(&record(0)).unwrap();
    let before = disk.bytes();
    let counter = disk.platform.path().join("counter");
    let counted = std::fs::read(&counter).unwrap();
    store.append(&record(1)).unwrap();
    drop(store);
    let after = disk.bytes();
    for cut in before.len()..=after.len() {
        disk.put(&after[..cut]);
        std::fs::write(&counter, &counted).unwrap();
        let (mut store, records) = disk.open().unwrap();
        assert_eq!(records.len(), if cut == after.len() { 2 } else { 1 });
        store.append(&record(7)).unwrap();
        drop(store);
        assert_eq!(disk.open().unwrap().1.last().unwrap(), &record(7));
    }
}

#[test]
fn records_of_another_file_or_platform_do_not_open() {
    let (one, other) = (Disk::new(), Disk::new());
    for disk in [&one, &other] {
        disk.open().unwrap().0.append(&record(0)).unwrap();
    }
    one.put(&other.bytes());
    assert!(matches!(one.open(), Err(StoreError::RolledBack { .. })));
}
