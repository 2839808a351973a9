/** A parameter of an operation of the OpenAPI document. */
export interface ApiParameter {
  in: string;
  name: string;
  example?: string;
  schema?: { example?: string };
}

/** A path with the examples of its parameters in their places. */
export function exampleAddress(path: string, parameters: readonly ApiParameter[] = []): string {
  return parameters
    .filter((parameter) => parameter.in === 'path')
    .reduce(
      (text, { name, example, schema }) => text.replace(`{${name}}`, example ?? schema?.example ?? ''),
      path,
    );
}
