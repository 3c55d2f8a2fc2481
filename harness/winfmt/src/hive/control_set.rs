//! `CurrentControlSet`: a link that only a running Windows has.

use super::{Hive, HiveError, KeyPath, Name};

const CURRENT: &str = "CurrentControlSet";

impl Hive {
    /// What a path that begins with `CurrentControlSet` means in this hive: the control set that
    /// `Select\Current` names (windows-facts, section 4). `None` if the path begins otherwise, or the
    /// hive has a key of that name itself, as hives have that are loaded into another one.
    ///
    /// # Errors
    /// [`HiveError::NoControlSet`] where `Select\Current` does not say, [`HiveError::Damaged`].
    pub fn in_control_set(&self, path: &KeyPath) -> Result<Option<KeyPath>, HiveError> {
        let Some((first, rest)) = path.names().split_first() else { return Ok(None) };
        if !first.same(&Name::from(CURRENT)) || self.root()?.subkey(first)?.is_some() {
            return Ok(None);
        }
        let number = self
            .find_key("Select")?
            .and_then(|select| select.value("Current").transpose())
            .transpose()?
            .and_then(|current| current.as_dword())
            .ok_or(HiveError::NoControlSet)?;
        let mut names = vec![Name::from(format!("ControlSet{number:03}"))];
        names.extend_from_slice(rest);
        Ok(Some(KeyPath::from(names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::Data;

    #[test]
    fn the_current_set_is_what_select_says() {
        let mut hive = Hive::create("ROOT").unwrap();
        let path = KeyPath::from(r"currentcontrolset\Services");
        assert_eq!(hive.in_control_set(&path), Err(HiveError::NoControlSet));
        assert_eq!(hive.in_control_set(&"Services".into()), Ok(None));
        assert_eq!(hive.in_control_set(&"".into()), Ok(None));
        hive.set_value("Select", "Current", &Data::string("1")).unwrap();
        assert_eq!(hive.in_control_set(&path), Err(HiveError::NoControlSet));
        hive.set_value("Select", "Current", &Data::dword(2)).unwrap();
        let there = hive.in_control_set(&path).unwrap().unwrap();
        assert_eq!(there.to_string(), r"ControlSet002\Services");
        hive.create_key("CurrentControlSet").unwrap();
        assert_eq!(hive.in_control_set(&path), Ok(None));
    }
}
