//! What is simpler than an operation and may do as well, the simplest first.

pub(crate) trait Simpler: Sized {
    /// Forms that are strictly simpler, so that taking them one after the other comes to an end.
    fn simpler(&self) -> Vec<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {
        $(impl Simpler for $type {
            fn simpler(&self) -> Vec<Self> {
                let mut forms = vec![0, self / 2, self.saturating_sub(1)];
                forms.dedup();
                forms.retain(|form| form < self);
                forms
            }
        })*
    };
}

number!(u8, u16);

impl Simpler for bool {
    fn simpler(&self) -> Vec<Self> {
        if *self { vec![false] } else { Vec::new() }
    }
}

impl<T: Simpler> Simpler for Option<T> {
    fn simpler(&self) -> Vec<Self> {
        let Some(value) = self else { return Vec::new() };
        core::iter::once(None).chain(value.simpler().into_iter().map(Some)).collect()
    }
}

/// The forms of one field of `whole`, put in its place.
pub(crate) fn with<T: Copy, F: Simpler>(whole: T, field: impl Fn(&mut T) -> &mut F) -> Vec<T> {
    let put = |form| {
        let mut simpler = whole;
        *field(&mut simpler) = form;
        simpler
    };
    field(&mut { whole }).simpler().into_iter().map(put).collect()
}

/// Declares enums of plain data. `=>` stands before the form that is simpler than a variant in any case. The
/// forms of one field after the other follow. A field without a name is declared by its number, a name that
/// the form after `=>` may use, and its type.
macro_rules! plain {
    ($($(#[$outer:meta])* pub enum $type:ident {
        $($(#[$inner:meta])* $variant:ident
            $(($($number:tt $bound:ident: $unnamed:ty),+))?
            $({ $($(#[$of_field:meta])* $field:ident: $named:ty,)+ })?
            $(=> $simpler:expr)?,)+
    })+) => {$(
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[cfg_attr(feature = "history", derive(serde::Serialize, serde::Deserialize))]
        pub enum $type {
            $($(#[$inner])* $variant
                $(($($unnamed),+))?
                $({ $($(#[$of_field])* $field: $named,)+ })?,)+
        }

        impl Simpler for $type {
            #[allow(unused_variables, reason = "few variants have a form that uses their fields")]
            fn simpler(&self) -> Vec<Self> {
                match *self {
                    $(Self::$variant $(($($bound),+))? $({ $($field),+ })? => [
                        vec![$($simpler)?],
                        $($(plain!(@with self, $variant { $number }),)+)?
                        $($(plain!(@with self, $variant { $field }),)+)?
                    ]
                    .concat(),)+
                }
            }
        }
    )+};
    (@with $whole:ident, $variant:ident { $field:tt }) => {
        with(*$whole, |it| match it {
            Self::$variant { $field: field, .. } => field,
            _ => unreachable!("it has this field"),
        })
    };
}

pub(crate) use plain;
