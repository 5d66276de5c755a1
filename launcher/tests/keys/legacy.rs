//! Names before LXC 2.1.

use berth_container_config::key::{Action, keys};

use crate::world::{Container, Owner, on_host};

#[test]
fn former_names_are_refused_with_their_successors() {
    on_host(|host| {
        let container = Container::create(host, Owner::User, "web");
        let before = std::fs::read_to_string(container.config()).unwrap();
        let mut told = 0;
        for key in keys() {
            let told_instead = match key.action {
                Action::Renamed(new) => new,
                Action::Gone(why) => why,
                _ => continue,
            };
            let name = key.pattern.replace('*', "nofile");
            std::fs::write(container.config(), format!("{before}{name} = 1\n")).unwrap();
            let line = before.lines().count() + 1;
            container.start_is_refused(&format!("config:{line}: {name}: "));
            container.start_is_refused(told_instead);
            told += 1;
        }
        assert!(told >= 27, "{told}");
        std::fs::write(container.config(), before).unwrap();
        container.destroy();
    });
}
