//! The names that came up, each with the number by which the model knows it, and those that a comparison
//! asks the registry for.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use headcount::{RoomId, RunId, TenantId, ThreadId, UserId};

/// The number of a name of a user, a thread or a tenant.
pub(crate) type Name = u32;

/// Names of one kind, numbered in the order in which they came up.
#[derive(Clone, Debug)]
pub(crate) struct Dictionary<T> {
    names: Vec<T>,
    numbers: HashMap<T, Name>,
}

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Self { names: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Dictionary<T> {
    /// The number of a name, which it gets now if it never came up.
    pub(crate) fn number(&mut self, name: &T) -> Name {
        self.find(name).unwrap_or_else(|| {
            let number = self.names.len() as Name;
            self.names.push(name.clone());
            self.numbers.insert(name.clone(), number);
            number
        })
    }

    /// The number of a name that came up.
    pub(crate) fn find(&self, name: &T) -> Option<Name> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn name(&self, number: Name) -> &T {
        &self.names[number as usize]
    }

    pub(crate) fn numbers(&self) -> impl Iterator<Item = Name> + use<T> {
        0..self.names.len() as Name
    }
}

/// All names that came up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) users: Dictionary<UserId>,
    pub(crate) threads: Dictionary<ThreadId>,
    pub(crate) tenants: Dictionary<TenantId>,
    /// What the registry is asked for in each comparison, also while it should not know it.
    pub(crate) asked: Asked,
}

/// Names that a comparison asks the registry for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) users: BTreeSet<Name>,
    /// Users, and threads of theirs.
    pub(crate) threads: BTreeSet<(Name, Name)>,
    /// Users, and runs of theirs.
    pub(crate) runs: BTreeSet<(Name, RunId)>,
    pub(crate) rooms: BTreeSet<RoomId>,
}

impl Names {
    /// A user comes up.
    pub(crate) fn user(&mut self, user: &UserId) -> Name {
        let user = self.users.number(user);
        self.asked.users.insert(user);
        user
    }

    /// A thread of a user comes up.
    pub(crate) fn thread(&mut self, user: Name, thread: &ThreadId) -> Name {
        let thread = self.threads.number(thread);
        self.asked.threads.insert((user, thread));
        thread
    }
}
