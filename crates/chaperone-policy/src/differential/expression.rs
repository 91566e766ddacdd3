//! Random conditions that pass strict validation.

use super::chance::Chance;
use super::paths::{Path, Paths};
use super::values::{is_writable, quoted};
use super::world::World;
use crate::shape::{Field, Type};

/// Texts of conditions that several policies may have in common.
pub(super) type Shared = Vec<String>;

/// Writes conditions for one kind of request: an action, a type of principal and a type of resource.
pub(super) struct Writer<'a> {
    world: &'a World,
    chance: &'a mut Chance,
    /// What can be read where the writer stands.
    paths: Paths,
    /// The ids of actions and of groups of actions.
    actions: Vec<String>,
}

impl<'a> Writer<'a> {
    /// With what a request of this kind has.
    pub(super) fn new(world: &'a World, chance: &'a mut Chance, paths: Paths) -> Self {
        let actions =
            world.actions.iter().map(|action| action.id.clone()).chain(world.groups.iter().cloned()).collect();
        Self { world, chance, paths, actions }
    }

    /// A condition.
    pub(super) fn condition(&mut self, shared: &mut Shared) -> String {
        if !shared.is_empty() && self.chance.percent(20) {
            let one = shared[self.chance.below(shared.len())].clone();
            return if self.chance.percent(50) { one } else { format!("({one} && {})", self.boolean(2)) };
        }
        let depth = *self.chance.choose(&[1, 1, 2, 2, 2, 3, 3, 4, 5]);
        let text = if self.chance.percent(3) { self.deep() } else { self.boolean(depth) };
        if self.chance.percent(40) {
            shared.push(text.clone());
        }
        text
    }

    /// Any expression of a type.
    fn expression(&mut self, ty: &Type, depth: usize) -> String {
        if depth == 0 || self.chance.percent(20) {
            return self.leaf(ty);
        }
        if self.chance.percent(8) && !matches!(ty, Type::Bool) {
            return self.choice(ty, depth - 1);
        }
        let depth = depth - 1;
        match ty {
            Type::Bool => self.boolean(depth + 1),
            Type::Long => self.long(depth),
            Type::Set(element) if is_writable(element) && self.chance.percent(50) => {
                let members: Vec<_> = (0..self.chance.between(1, 3)).map(|_| self.expression(element, depth)).collect();
                format!("[{}]", members.join(", "))
            }
            Type::Record(fields) if is_writable(ty) && self.chance.percent(60) => self.record(fields, depth),
            Type::Datetime => match self.chance.below(3) {
                0 => format!("{}.toDate()", self.expression(ty, depth)),
                1 => format!("{}.offset({})", self.expression(ty, depth), self.expression(&Type::Duration, depth)),
                _ => self.leaf(ty),
            },
            Type::Duration => match self.chance.below(3) {
                0 => format!("{}.toTime()", self.expression(&Type::Datetime, depth)),
                1 => {
                    let (left, right) =
                        (self.expression(&Type::Datetime, depth), self.expression(&Type::Datetime, depth));
                    format!("{left}.durationSince({right})")
                }
                _ => self.leaf(ty),
            },
            _ => self.leaf(ty),
        }
    }

    /// A path or a literal.
    fn leaf(&mut self, ty: &Type) -> String {
        let found = self.paths.of_type(ty);
        if !found.is_empty() && (self.chance.percent(70) || !is_writable(ty)) {
            return found[self.chance.below(found.len())].clone();
        }
        // What cannot be written is only asked for where there is a path to it.
        self.world.literal(self.chance, ty)
    }

    fn choice(&mut self, ty: &Type, depth: usize) -> String {
        let condition = self.boolean(depth);
        format!("(if {condition} then {} else {})", self.expression(ty, depth), self.expression(ty, depth))
    }

    /// A record.
    fn record(&mut self, fields: &crate::shape::Fields, depth: usize) -> String {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, field)| format!("{}: {}", quoted(name), self.expression(&field.ty, depth)))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    fn long(&mut self, depth: usize) -> String {
        match self.chance.below(9) {
            0..=3 => {
                let operator = *self.chance.choose(&["+", "-", "*"]);
                format!("({} {operator} {})", self.expression(&Type::Long, depth), self.expression(&Type::Long, depth))
            }
            4 => format!("(-{})", self.expression(&Type::Long, depth)),
            5 => {
                let method = *self.chance.choose(&["toDays", "toHours", "toMinutes", "toSeconds", "toMilliseconds"]);
                format!("{}.{method}()", self.expression(&Type::Duration, depth))
            }
            6 => {
                let operator = *self.chance.choose(&["+", "-"]);
                let terms: Vec<_> = (0..self.chance.between(3, 12)).map(|_| self.leaf(&Type::Long)).collect();
                format!("({})", terms.join(&format!(" {operator} ")))
            }
            // A field of a record that is only written to read it.
            7 => {
                let other = self.any_type();
                let (long, other) = (self.expression(&Type::Long, depth), self.expression(&other, depth));
                format!("{{x: {long}, \"y z\": {other}}}.x")
            }
            _ => self.leaf(&Type::Long),
        }
    }

    /// A condition of this depth.
    fn boolean(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.chance.below(4) {
                0 => self.leaf(&Type::Bool),
                1 => self.has(),
                _ => self.comparison(1),
            };
        }
        let depth = depth - 1;
        match self.chance.below(38) {
            0 => self.leaf(&Type::Bool),
            1 | 2 => format!("(!{})", self.boolean(depth)),
            3..=5 => format!("({} && {})", self.boolean(depth), self.boolean(depth)),
            6..=8 => format!("({} || {})", self.boolean(depth), self.boolean(depth)),
            9 => {
                let operator = *self.chance.choose(&[" && ", " || "]);
                let terms: Vec<_> = (0..self.chance.between(3, 8)).map(|_| self.boolean(0)).collect();
                format!("({})", terms.join(operator))
            }
            10 => self.choice(&Type::Bool, depth),
            11..=15 => self.guarded(depth),
            16 => self.tagged(depth),
            17 => self.has(),
            18 => self.dead(depth),
            19..=21 => self.membership(depth),
            22..=24 => self.set_question(depth),
            34..=37 => self.memory_question(depth),
            _ => self.comparison(depth),
        }
    }

    /// What nests or goes on almost as far as is accepted.
    fn deep(&mut self) -> String {
        let count = self.chance.between(5, 12);
        match self.chance.below(4) {
            0 => format!("{}{}{}", "(!".repeat(2 * count), self.leaf(&Type::Bool), ")".repeat(2 * count)),
            1 => {
                let terms: Vec<_> = (0..4 * count).map(|_| self.leaf(&Type::Bool)).collect();
                let operators = [" && ", " || "];
                let mut text = String::from("true");
                for term in terms {
                    text.push_str(self.chance.pick(&operators));
                    text.push_str(&term);
                }
                format!("({text})")
            }
            2 => {
                let choices: Vec<_> = (0..count)
                    .map(|_| format!("if {} then {} else ", self.leaf(&Type::Bool), self.leaf(&Type::Bool)))
                    .collect();
                format!("({}{})", choices.concat(), self.leaf(&Type::Bool))
            }
            _ => {
                let (open, close) = ("{a: ".repeat(count), "}".repeat(count));
                let (one, other) = (self.leaf(&Type::Long), self.leaf(&Type::Long));
                format!(
                    "([{open}{one}{close}].contains({open}{other}{close}) || {open}{one}{close}{} == 1)",
                    ".a".repeat(count)
                )
            }
        }
    }

    /// `e has a && …`, where what follows may read `e.a`.
    fn guarded(&mut self, depth: usize) -> String {
        let optional = self.paths.optional(self.world);
        if optional.is_empty() {
            return self.comparison(depth);
        }
        let Path { guard, text, ty } = optional[self.chance.below(optional.len())].clone();
        let before = self.paths.clone();
        self.paths.add(self.world, &text, &ty);
        let body = if self.chance.percent(50) { self.question_of(&text, &ty, depth) } else { self.boolean(depth) };
        self.paths = before;
        match self.chance.below(4) {
            0 => format!("(if {guard} then {body} else {})", self.boolean(depth)),
            1 => format!("(!({guard} && {body}))"),
            _ => format!("({guard} && {body})"),
        }
    }

    /// `e.hasTag(k) && …`, where what follows may read `e.getTag(k)`.
    fn tagged(&mut self, depth: usize) -> String {
        let tagged = self.paths.tagged(self.world);
        if tagged.is_empty() {
            return self.guarded(depth);
        }
        let (entity, ty) = tagged[self.chance.below(tagged.len())].clone();
        let strings = self.paths.of_type(&Type::String);
        let key = match strings.as_slice() {
            [_, ..] if self.chance.percent(30) => strings[self.chance.below(strings.len())].clone(),
            _ => quoted(self.chance.pick(&["a", "b", "user:x", "none"])),
        };
        let (guard, text) = (format!("{entity}.hasTag({key})"), format!("{entity}.getTag({key})"));
        if self.chance.percent(15) {
            return guard;
        }
        let before = self.paths.clone();
        self.paths.add(self.world, &text, &ty);
        let body = self.question_of(&text, &ty, depth);
        self.paths = before;
        format!("({guard} && {body})")
    }

    /// Whether attributes are there, without reading them.
    fn has(&mut self) -> String {
        let bases = self.paths.with_fields(self.world);
        let (base, fields) = bases[self.chance.below(bases.len())].clone();
        if self.chance.percent(10) {
            return format!("({base} has nothing)");
        }
        let mut names: Vec<&smol_str::SmolStr> = fields.keys().collect();
        if names.is_empty() {
            return format!("({base} has nothing.at.all)");
        }
        let name = names.swap_remove(self.chance.below(names.len()));
        if !super::paths::is_identifier(name) {
            return format!("({base} has {})", quoted(name));
        }
        let inner = match &fields[name].ty {
            Type::Record(fields) => Some(fields.clone()),
            Type::Entity(kind) => self.world.types.get(kind.as_str()).map(|own| own.attributes.clone()),
            _ => None,
        };
        let second = inner.into_iter().flatten().map(|(name, _)| name).find(|name| super::paths::is_identifier(name));
        match second {
            Some(second) if self.chance.percent(60) => format!("({base} has {name}.{second})"),
            _ => format!("({base} has {name})"),
        }
    }

    /// What is never evaluated, and then need not even be of the right types.
    fn dead(&mut self, depth: usize) -> String {
        let nonsense = *self.chance.choose(&[
            "(1 + \"a\" == 2)",
            "principal.nothing.at.all",
            "context.nothing",
            "(resource.nothing like \"*\")",
            "([1].contains(1) < 3)",
        ]);
        match self.chance.below(4) {
            0 => format!("(false && {nonsense})"),
            1 => format!("(true || {nonsense})"),
            2 => format!("(if true then {} else {nonsense})", self.boolean(depth)),
            // What the principal is not.
            _ => format!("((principal is Chaperone::Endpoint) && {nonsense})"),
        }
    }

    /// A type that expressions can be asked for.
    fn any_type(&mut self) -> Type {
        if self.chance.percent(40) {
            let simple =
                [Type::Long, Type::Long, Type::String, Type::Ip, Type::Decimal, Type::Datetime, Type::Duration];
            return self.chance.choose(&simple).clone();
        }
        let mut types: Vec<Type> = self.paths.types();
        types.push(Type::Set(Box::new(Type::String)));
        types.push(Type::Record(
            [
                ("b".into(), Field { ty: Type::Long, required: true }),
                ("zz".into(), Field { ty: Type::String, required: true }),
            ]
            .into(),
        ));
        types.swap_remove(self.chance.below(types.len()))
    }

    fn comparison(&mut self, depth: usize) -> String {
        let ty = self.any_type();
        let text = self.expression(&ty, depth);
        self.question_of(&text, &ty, depth)
    }

    /// A condition on one value.
    fn question_of(&mut self, text: &str, ty: &Type, depth: usize) -> String {
        if self.chance.percent(25) {
            let operator = *self.chance.choose(&["==", "==", "!="]);
            return format!("({text} {operator} {})", self.expression(ty, depth));
        }
        match ty {
            Type::Bool => format!("({text} || {})", self.boolean(depth)),
            Type::Long | Type::Datetime | Type::Duration => {
                let operator = *self.chance.choose(&["<", "<=", ">", ">="]);
                format!("({text} {operator} {})", self.expression(ty, depth))
            }
            Type::String => {
                let pattern = *self
                    .chance
                    .choose(&["*", "a*", "*b", "a*b*", "\\*", "a\\*b", "user:*", "*a*b*", "", "\u{e9}*", "**"]);
                format!("({text} like \"{pattern}\")")
            }
            Type::Decimal => {
                let method = *self.chance.choose(&["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]);
                format!("{text}.{method}({})", self.expression(ty, depth))
            }
            Type::Ip => match self.chance.below(6) {
                0 => format!("{text}.isIpv4()"),
                1 => format!("{text}.isIpv6()"),
                2 => format!("{text}.isLoopback()"),
                3 => format!("{text}.isMulticast()"),
                _ => {
                    format!("{text}.isInRange({})", self.expression(&Type::Ip, depth))
                }
            },
            Type::Entity(kind) => self.entity_question(text, kind, depth),
            Type::Set(_) => format!("{text}.isEmpty()"),
            Type::Record(_) => format!("({text} == {})", self.expression(ty, depth)),
        }
    }

    fn entity_question(&mut self, text: &str, kind: &str, depth: usize) -> String {
        let ancestors: Vec<String> = self.world.ancestors(kind);
        let group = Type::Entity(self.chance.choose(&ancestors).as_str().into());
        match self.chance.below(6) {
            0 => format!("({text} is {})", self.chance.choose(&self.world.kinds)),
            1 => format!("({text} is {kind} in {})", self.expression(&group, depth)),
            2 => {
                let set = Type::Set(Box::new(group));
                format!("({text} in {})", self.expression(&set, depth))
            }
            _ => format!("({text} in {})", self.expression(&group, depth)),
        }
    }

    fn membership(&mut self, depth: usize) -> String {
        if self.chance.percent(25) {
            let id = self.chance.choose(&self.actions).clone();
            let action = self.world.action_ref(&id);
            return match self.chance.below(4) {
                0 => format!("(action == {action})"),
                1 => format!("(action in [{action}, {}])", self.world.action_ref(&self.actions[0])),
                2 => format!("({} in {action})", self.world.action_ref(&self.actions[0])),
                _ => format!("(action in {action})"),
            };
        }
        let entities: Vec<Type> = self.paths.types().into_iter().filter(|ty| matches!(ty, Type::Entity(_))).collect();
        let ty = self.chance.choose(&entities).clone();
        let Type::Entity(kind) = &ty else { return "true".into() };
        let text = self.expression(&ty, depth);
        self.entity_question(&text, kind, depth)
    }

    /// A condition on something that is counted or remembered.
    fn memory_question(&mut self, depth: usize) -> String {
        let remembered = self.paths.remembered();
        if remembered.is_empty() {
            return self.comparison(depth);
        }
        let (text, ty) = self.chance.choose(&remembered).clone();
        match &ty {
            Type::Set(element) => match self.chance.below(4) {
                0 => format!("{text}.containsAny({})", self.expression(&ty, depth)),
                1 => format!("{text}.isEmpty()"),
                _ => format!("{text}.contains({})", self.expression(element, depth)),
            },
            // Near what is counted.
            Type::Long => {
                let operator = *self.chance.choose(&["<", "<=", ">", ">=", "=="]);
                format!("({text} {operator} {})", self.chance.below(8))
            }
            _ => self.question_of(&text, &ty, depth),
        }
    }

    fn set_question(&mut self, depth: usize) -> String {
        let mut sets: Vec<Type> = self.paths.types().into_iter().filter(|ty| matches!(ty, Type::Set(_))).collect();
        let element = self.any_type();
        if is_writable(&element) && !matches!(element, Type::Bool) {
            sets.push(Type::Set(Box::new(element)));
        }
        if sets.is_empty() {
            sets.push(Type::Set(Box::new(Type::Long)));
        }
        if self.chance.percent(8) {
            // Large enough to be hashed.
            let members: Vec<_> = (0..40).map(|number| quoted(&format!("{number:x}"))).collect();
            return format!("[{}].contains({})", members.join(", "), self.expression(&Type::String, depth));
        }
        let ty = self.chance.choose(&sets).clone();
        let Type::Set(element) = &ty else { return "true".into() };
        let set = self.expression(&ty, depth);
        // A member that can be asked for: a record with optional fields only where there is one to read.
        let has_element = is_writable(element) || !self.paths.of_type(element).is_empty();
        match self.chance.below(6) {
            0 => format!("{set}.containsAll({})", self.expression(&ty, depth)),
            1 => format!("{set}.containsAny({})", self.expression(&ty, depth)),
            2 => format!("{set}.isEmpty()"),
            3..=5 if has_element => format!("{set}.contains({})", self.expression(element, depth)),
            _ => format!("({set} == {})", self.expression(&ty, depth)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_written_as_cedar_reads_them() {
        for text in ["", "a\"b", "\\", "\n", "\u{e9}", "\u{0}"] {
            let expr: cedar_policy_core::ast::Expr = quoted(text).parse().expect("a string");
            assert_eq!(
                expr.to_string().parse::<cedar_policy_core::ast::Expr>().expect("it parses again"),
                expr,
                "{text:?}"
            );
            assert_eq!(expr, cedar_policy_core::ast::Expr::val(text), "{text:?}");
        }
    }
}
