//! The name service is asked once in a call, however many parts of it want to know the user.

use crate::session::{Handle, Level, Person, Record};

/// Keeps the answer to [`Handle::user`].
pub(crate) struct Remembering<'a, H> {
    handle: &'a mut H,
    user: Option<Option<Person>>,
}

impl<'a, H: Handle> Remembering<'a, H> {
    pub fn new(handle: &'a mut H) -> Self {
        Self { handle, user: None }
    }
}

impl<H: Handle> Handle for Remembering<'_, H> {
    fn service(&mut self) -> Option<String> {
        self.handle.service()
    }

    fn user(&mut self) -> Option<Person> {
        self.user.get_or_insert_with(|| self.handle.user()).clone()
    }

    fn variable(&mut self, name: &str) -> Option<String> {
        self.handle.variable(name)
    }

    fn remember(&mut self, record: Record) {
        self.handle.remember(record);
    }

    fn recall(&mut self) -> Option<Record> {
        self.handle.recall()
    }

    fn log(&mut self, level: Level, line: &str) {
        self.handle.log(level, line);
    }
}
