import type { OpenAPIObject } from '@nestjs/swagger';

/*
 * Decorators write each schema and parameter out where it is used. These functions replace repetitions with references,
 * so that the document stays small.
 */

interface ObjectSchema {
  type: 'object';
  properties: Record<string, object>;
  required?: string[];
}

type Schemas = Record<string, object>;
type Parameter = { in: string; name: string };

/** Fewer common properties can be a coincidence. */
const MIN_SHARED_PROPERTIES = 3;

/** Lets each object schema extend the largest other one whose properties it repeats, as their classes do. */
export function shareSchemas({ components }: OpenAPIObject): void {
  const schemas = (components?.schemas ?? {}) as Schemas;
  const objects = new Map(Object.entries(schemas).filter(isObject));
  for (const [name, schema] of objects) {
    const [parent] = [...objects]
      .filter(([other, candidate]) => other !== name && extendsSchema(schema, candidate))
      .sort(([, a], [, b]) => sizeOf(b) - sizeOf(a));
    if (parent != null) schemas[name] = extension(schema, parent);
  }
}

function isObject(entry: [string, object]): entry is [string, ObjectSchema] {
  return 'properties' in entry[1];
}

function sizeOf({ properties }: ObjectSchema): number {
  return Object.keys(properties).length;
}

function extendsSchema(schema: ObjectSchema, parent: ObjectSchema): boolean {
  const size = sizeOf(parent);
  if (size < MIN_SHARED_PROPERTIES || size >= sizeOf(schema)) return false;
  const isRequired = (one: ObjectSchema, name: string) => one.required?.includes(name) === true;
  return Object.entries(parent.properties).every(
    ([name, property]) =>
      JSON.stringify(schema.properties[name]) === JSON.stringify(property) &&
      isRequired(schema, name) === isRequired(parent, name),
  );
}

function extension(schema: ObjectSchema, [name, parent]: [string, ObjectSchema]): object {
  const isOwn = (property: string) => !(property in parent.properties);
  const required = schema.required?.filter(isOwn) ?? [];
  const own = Object.entries(schema.properties).filter(([property]) => isOwn(property));
  return {
    allOf: [
      { $ref: `#/components/schemas/${name}` },
      { type: 'object', properties: Object.fromEntries(own), ...(required.length > 0 ? { required } : {}) },
    ],
  };
}

/** Moves each parameter that several operations have to the components. */
export function shareParameters({ components, paths }: OpenAPIObject): void {
  const lists = Object.values(paths)
    .flatMap((methods) => Object.values(methods as Record<string, { parameters?: object[] }>))
    .flatMap(({ parameters }) => (parameters == null ? [] : [parameters]));
  const counts = new Map<string, number>();
  for (const parameter of lists.flat()) {
    const text = JSON.stringify(parameter);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const shared = new Map<string, string>();
  const byCount = [...counts].filter(([, count]) => count > 1).sort(([, a], [, b]) => b - a);
  for (const [text] of byCount) {
    const { name } = JSON.parse(text) as Parameter;
    // The most frequent parameter of a name; others stay where they are.
    if (!shared.has(name)) shared.set(name, text);
  }
  const texts = new Map([...shared].map(([name, text]) => [text, name]));
  for (const list of lists) {
    for (const [index, parameter] of list.entries()) {
      const name = texts.get(JSON.stringify(parameter));
      if (name != null) list[index] = { $ref: `#/components/parameters/${name}` };
    }
  }
  const parameters = [...shared].map(([name, text]) => [name, JSON.parse(text) as Parameter]);
  if (components != null)
    components.parameters = Object.fromEntries(parameters) as typeof components.parameters;
}
