/**
 * The arrows of docs/architecture.md, for dependency-cruiser: `cli, server -> gallery -> face -> inference -> pipeline -> models`
 * and `model-tools -> models`. A room may import those behind it, never those before it.
 */
const ROOMS = ['gallery', 'face', 'inference', 'pipeline', 'models'];
/** Rooms of one Nest module each. */
const MODULES =
  'verification|representation|detection|analysis|galleries|models|admin|health|metrics|deepface|console';

const layers = ROOMS.map((room, i) => ({
  name: `${room}-looks-down`,
  comment: `${room} imports the rooms behind it only: gallery -> face -> inference -> pipeline -> models.`,
  severity: 'error',
  from: { path: `^src/${room}/`, pathNot: '[.]spec[.]ts$' },
  to: { path: `^src/(${['server', 'cli', 'model-tools', ...ROOMS.slice(0, i)].join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...layers,
    {
      name: 'no-circle',
      comment: 'Two files that import each other are one.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'server-is-the-top',
      comment: 'Only main.ts, the commands and the library surface use the HTTP program.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(server|cli)/|^src/(main|cli|index)[.]ts$|[.]spec[.]ts$' },
      to: { path: '^src/(server|cli)/' },
    },
    {
      name: 'server-without-commands',
      severity: 'error',
      from: { path: '^src/server/' },
      to: { path: '^src/(cli|model-tools)/' },
    },
    {
      name: 'modules-apart',
      comment: 'A module of the server imports what lies below, and what all share: never another module.',
      severity: 'error',
      from: { path: `^src/server/(${MODULES})/`, pathNot: '[.]spec[.]ts$' },
      to: { path: `^src/server/(${MODULES})/`, pathNot: '^src/server/$1/' },
    },
    {
      name: 'client-alone',
      comment:
        'The client runs in browsers: it imports openapi-fetch, nothing of the service and nothing of Node.',
      severity: 'error',
      from: { path: '^src/client/', pathNot: '[.]spec[.]ts$' },
      to: { pathNot: '^src/client/|node_modules/openapi-fetch/' },
    },
    {
      name: 'model-tools-look-down',
      severity: 'error',
      from: { path: '^src/model-tools/', pathNot: '[.]spec[.]ts$' },
      to: { path: '^src/(server|cli|gallery|face|inference|pipeline)/' },
    },
    {
      name: 'one-door-to-onnxruntime',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pipeline/tensor-session[.]ts$' },
      to: { path: 'node_modules/onnxruntime-node/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'pipeline-without-nest',
      severity: 'error',
      from: { path: '^src/(pipeline|models|model-tools)/' },
      to: { path: 'node_modules/@nestjs/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '[.]as[.]ts$' },
    // Types too: an arrow is one, whatever it carries.
    tsPreCompilationDeps: true,
  },
};
