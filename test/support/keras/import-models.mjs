/**
 * Imports Keras files with the importer of `dist/`, and holds what comes out against references (make-reference.mjs).
 *
 * A process of its own: h5wasm is an ES module, and onnxruntime-node refuses the typed arrays of Jest's sandbox
 * (jestjs/jest#11864). The check run of the importer is the run that is compared, so that large files are loaded once.
 *
 * Usage: node import-models.mjs '[{"architecture":"facenet","file":"/tmp/x/weights.h5","folder":"/tmp/models",
 *                                  "reference":{"folder":"/tmp/x","input":[1,160,160,3],"outputs":[...]}}]'
 * Without a reference the import must fail before the network is run.
 * Prints a list: { card, differences } or { error: { code, message, details } } for each.
 */
import architectures from '../../../dist/model-tools/import/architectures/index.js';
import importer from '../../../dist/model-tools/import/import-model.js';
import { runOnReference } from './compare.mjs';

async function importOne({ architecture: name, reference, ...options }) {
  let differences = [];
  const run = async (path) => {
    const result = await runOnReference(path, reference);
    differences = result.differences;
    return result.answers;
  };
  try {
    const { card } = await importer.importModel({
      ...options,
      name,
      architecture: architectures.ARCHITECTURES[name],
      run,
    });
    return { card, differences };
  } catch (error) {
    if (error.code === 'MODEL_IMPORT_FAILED' && error.cause instanceof Error) throw error.cause;
    if (error.code === undefined) throw error;
    return { error: { code: error.code, message: error.message, details: error.details } };
  }
}

const report = [];
for (const request of JSON.parse(process.argv[2])) report.push(await importOne(request));
process.stdout.write(JSON.stringify(report));
