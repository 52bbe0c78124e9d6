//! How a budget of mails is divided among the kinds of mail.

use crate::config::Rate;

/// A kind of mail, with a part of each budget of its own. By one common count, somebody who asks for
/// codes could see how many notices there were, and use them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Codes for browsers that the account was not used from.
    Codes,
    /// Codes for browsers that it was used from: strangers must not use these up.
    OwnCodes,
    /// Notices of a registration, of logins and of stopped logins.
    Notices,
    /// That the password was changed.
    Changes,
}

/// Fewer mails than this cannot be divided.
const FEWEST_DIVIDED: i64 = 6;

impl Share {
    /// Every kind, first the one that a mail which has to be sent takes from first.
    pub const ALL: [Self; 4] = [Self::Changes, Self::OwnCodes, Self::Notices, Self::Codes];

    /// What the kind is called in a count, and its part of the budget: a third each for codes and
    /// notices, a sixth each for the others. The parts add up to the whole.
    pub fn of(self, whole: Rate) -> (&'static str, Rate) {
        if whole.count < FEWEST_DIVIDED {
            return ("mails", whole);
        }
        let (third, sixth) = (whole.count / 3, whole.count / 6);
        let (name, count) = match self {
            Self::Codes => ("codes", whole.count - third - 2 * sixth),
            Self::OwnCodes => ("own codes", sixth),
            Self::Notices => ("notices", third),
            Self::Changes => ("changes", sixth),
        };
        (name, Rate { count, ..whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_budget_add_up_to_it_and_none_is_empty() {
        for whole in 1..=100 {
            let mut parts = Share::ALL.map(|share| share.of(Rate { count: whole, period: 60 }));
            assert!(parts.iter().all(|(_, part)| part.count > 0 && part.period == 60));
            parts.sort_by_key(|(name, _)| *name);
            let names = parts.chunk_by(|one, other| one.0 == other.0).map(|same| same[0].1.count);
            assert_eq!(names.sum::<i64>(), whole);
        }
    }
}
