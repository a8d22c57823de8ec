use super::*;
use windows_permissions::wrappers::ConvertSecurityDescriptorToStringSecurityDescriptor;

/// Lets everybody read what stands at a path.
pub(in super::super) fn loosen(path: &Path) {
    let mut options = OpenOptions::new();
    options.access_mode(READ_AND_SET_LIST).custom_flags(FOLDERS_TOO);
    let (own, mut object) = (own_sid().unwrap(), options.open(path).unwrap());
    let wanted = format!("D:(A;;FA;;;{own})(A;;FR;;;WD)");
    let wanted: LocalBox<SecurityDescriptor> = wanted.parse().unwrap();
    let (kind, what) = (SeObjectType::SE_KERNEL_OBJECT, SecurityInformation::Dacl);
    SetSecurityInfo(&mut object, kind, what, None, None, wanted.dacl(), None).unwrap();
    assert_eq!(holders(&object).unwrap().1, [EVERYBODY]);
}

/// An object's owner and access list, in the security descriptor definition language.
pub(in super::super) fn written(object: &impl AsRawHandle) -> String {
    let what = SecurityInformation::Owner | SecurityInformation::Dacl;
    let found = GetSecurityInfo(object, SeObjectType::SE_KERNEL_OBJECT, what).unwrap();
    let text = ConvertSecurityDescriptorToStringSecurityDescriptor(&found, what).unwrap();
    text.into_string().unwrap()
}

#[test]
fn nobody_but_us_and_administrators_is_us() {
    let own = own_sid().unwrap();
    assert!(own.starts_with("S-1-5-21-"), "{own}");
    assert!(is_ours(own).unwrap() && is_ours(ADMINISTRATORS).unwrap());
    for other in [EVERYBODY, SYSTEM, "S-1-5-11", "S-1-5-32-545", &format!("{own}1"), ""] {
        assert!(!is_ours(other).unwrap(), "{other}");
    }
}

#[test]
fn what_is_restricted_is_the_owners_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    loosen(file.path());
    let mut options = OpenOptions::new();
    let mut opened = options.access_mode(READ_AND_SET_LIST).open(file.path()).unwrap();
    restrict(&mut opened, Of::Object).unwrap();
    // Wine keeps modes, which know no protection from what a folder hands down (`P`), and gives the system
    // what it gives the owner.
    let (own, list) = (own_sid().unwrap(), written(&opened));
    let entry = format!("(A;;FA;;;{own})");
    assert!(list.starts_with(&format!("O:{own}D:")) && list.contains(&entry), "{list}");
    assert_eq!(list.replace("(A;;FA;;;SY)", "").matches('(').count(), 1, "{list}");
}
