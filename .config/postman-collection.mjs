/**
 * The API as a Postman collection, format 2.1, which Bruno, Insomnia and Hoppscotch import too: a folder for each tag, a
 * request for each operation, the variables `baseUrl` and `apiKey`.
 *
 * A request of an image route is a form with file pickers; other bodies are the example of the document. Ids in the
 * path of a deletion are empty, so that no request deletes anything as it is.
 *
 * @param document - an OpenAPI 3 document whose references are local.
 */
export function postmanCollection(document) {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(operations.map(({ operation }) => operation.tags[0]))];
  return {
    info: {
      name: document.info.title,
      // The table of errors that follows is in docs/api.md.
      description: document.info.description.split('\n\n')[0],
      schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
    },
    variable: [
      { key: 'baseUrl', value: 'http://127.0.0.1:3000' },
      { key: 'apiKey', value: '' },
    ],
    // As a header, which works with every importer: an empty value is as no key.
    auth: {
      type: 'apikey',
      apikey: [
        { key: 'key', value: 'x-api-key', type: 'string' },
        { key: 'value', value: '{{apiKey}}', type: 'string' },
        { key: 'in', value: 'header', type: 'string' },
      ],
    },
    item: tags.map((tag) => ({
      name: tag,
      item: operations.filter(({ operation }) => operation.tags[0] === tag).map(requestOf),
    })),
  };

  function requestOf({ path, method, operation }) {
    const parameters = (operation.parameters ?? []).map(resolve);
    const where = (place) => parameters.filter((parameter) => parameter.in === place);
    const isDeletion = method === 'delete';
    return {
      name: operation.summary,
      request: {
        method: method.toUpperCase(),
        description: operation.description,
        url: {
          raw: `{{baseUrl}}${path.replaceAll(/\{(\w+)\}/g, ':$1')}`,
          host: ['{{baseUrl}}'],
          path: path
            .slice(1)
            .split('/')
            .map((part) => part.replace(/^\{(\w+)\}$/, ':$1')),
          query: where('query').map(optional),
          variable: where('path').map((parameter) => ({
            key: parameter.name,
            value: isDeletion ? '' : exampleOf(parameter),
            description: parameter.description,
          })),
        },
        header: where('header').map(optional),
        ...bodyOf(operation.requestBody && resolve(operation.requestBody)),
      },
      response: [],
    };
  }

  /** A parameter that is sent only once its box is ticked. */
  function optional(parameter) {
    return {
      key: parameter.name,
      value: exampleOf(parameter),
      description: parameter.description,
      disabled: parameter.required !== true,
    };
  }

  function bodyOf(requestBody) {
    if (requestBody == null) return {};
    const { content } = requestBody;
    const form = content['multipart/form-data'];
    if (form != null) return { body: { mode: 'formdata', formdata: fieldsOf(form.schema) } };
    const json = content['application/json'];
    // Files, such as the import of a gallery.
    if (json == null) return { body: { mode: 'file', file: {} } };
    const raw = JSON.stringify(json.example ?? sampleOf(json.schema), null, 2);
    return { body: { mode: 'raw', raw, options: { raw: { language: 'json' } } } };
  }

  function fieldsOf(schema) {
    const { properties, required } = objectOf(schema);
    return Object.entries(properties).map(([key, property]) => {
      const { description } = property;
      const isFile = [property, property.items].some((part) => part && resolve(part).format === 'binary');
      const disabled = !required.includes(key);
      if (isFile) return { key, type: 'file', src: [], description, disabled };
      return { key, type: 'text', value: textOf(sampleOf(property)), description, disabled };
    });
  }

  /** Properties of an object, and of all that it is made of. */
  function objectOf(schema) {
    const { properties = {}, required = [], allOf = [], oneOf = [], anyOf = [] } = resolve(schema);
    const parts = [...allOf, ...oneOf.slice(0, 1), ...anyOf.slice(0, 1)].map(objectOf);
    return {
      properties: Object.assign({}, ...parts.map((part) => part.properties), properties),
      required: [...parts.flatMap((part) => part.required), ...required],
    };
  }

  /** The example of a schema, otherwise its required properties, otherwise an empty value. */
  function sampleOf(schema) {
    const own = resolve(schema);
    if (own.example !== undefined) return own.example;
    if (own.default !== undefined) return own.default;
    if (own.enum != null) return own.enum[0];
    if (own.type === 'array') return [];
    const { properties, required } = objectOf(own);
    const entries = Object.entries(properties).filter(([key]) => required.includes(key));
    if (entries.length > 0)
      return Object.fromEntries(entries.map(([key, property]) => [key, sampleOf(property)]));
    return own.type === 'object' ? {} : '';
  }

  function exampleOf(parameter) {
    return textOf(parameter.example ?? sampleOf(parameter.schema ?? {}));
  }

  function textOf(value) {
    if (Array.isArray(value)) return value.join(',');
    return typeof value === 'string' ? value : JSON.stringify(value);
  }

  function resolve(node) {
    if (node.$ref == null) return node;
    return resolve(
      node.$ref
        .slice(2)
        .split('/')
        .reduce((part, key) => part[key], document),
    );
  }
}
