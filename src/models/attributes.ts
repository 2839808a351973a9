/** Attributes of a face that models estimate. */
export const ATTRIBUTES = ['age', 'gender', 'expression', 'race'] as const;
export type Attribute = (typeof ATTRIBUTES)[number];

export const GENDERS = ['male', 'female'] as const;
export type Gender = (typeof GENDERS)[number];

/** Expressions, in the order of the output of the default network. */
export const EXPRESSIONS = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'] as const;
export type Expression = (typeof EXPRESSIONS)[number];
