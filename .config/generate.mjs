/*
 * Writes what is generated from docs/openapi.json: the types of the client, and the collection for Postman and Bruno.
 * `--check` writes nothing and fails if one of them is out of date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import openapiTS, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import { postmanCollection } from './postman-collection.mjs';

const check = process.argv.includes('--check');
const at = (path) => new URL(`../${path}`, import.meta.url);
const document = JSON.parse(readFileSync(at('docs/openapi.json'), 'utf8'));

const files = {
  // A request may omit what has a default.
  'src/client/openapi.ts':
    COMMENT_HEADER + astToString(await openapiTS(document, { defaultNonNullable: false })),
  'docs/likeness.postman_collection.json': `${JSON.stringify(postmanCollection(document), null, 1)}\n`,
};

for (const [path, text] of Object.entries(files)) {
  const isCurrent = safeRead(at(path)) === text;
  if (check && !isCurrent) {
    console.error(`${path} differs from docs/openapi.json: run \`npm run generate\`.`);
    process.exitCode = 1;
  }
  if (!check && !isCurrent) {
    writeFileSync(at(path), text);
    console.log(`${path}: ${text.length} characters`);
  }
}

function safeRead(url) {
  try {
    return readFileSync(url, 'utf8');
  } catch {
    return null;
  }
}
