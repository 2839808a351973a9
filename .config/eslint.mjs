import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import globals from 'globals';
import tseslint from 'typescript-eslint';

/**
 * The dependency rule of docs/architecture.md, from the top to the bottom:
 * features -> gallery -> face -> inference -> pipeline -> model-store. A layer may import any layer below it, never one above.
 */
const FEATURES = [
  'verification',
  'representation',
  'detection',
  'analysis',
  'galleries',
  'health',
  'models',
  'metrics',
  'admin',
  'compat',
];
const ABOVE_FACE = [...FEATURES, 'http', 'config', 'auth', 'audit', 'receipts', 'logging'];
const LAYERS = ['gallery', 'face', 'inference', 'pipeline', 'model-store'];

const forbid = (folders, message) => [
  'error',
  { patterns: [{ regex: `^(\\.\\./)+(${folders.join('|')})(/|$)`, message, allowTypeImports: false }] },
];

const layerRules = LAYERS.map((layer, index) => ({
  files: [`src/${layer}/**/*.ts`],
  rules: {
    'no-restricted-imports': 'off',
    '@typescript-eslint/no-restricted-imports': forbid(
      [...ABOVE_FACE, ...LAYERS.slice(0, index)],
      `${layer} must not import a layer above it (features -> gallery -> face -> inference -> pipeline -> model-store).`,
    ),
  },
}));

const featureRules = FEATURES.map((feature) => ({
  files: [`src/${feature}/**/*.ts`],
  rules: {
    '@typescript-eslint/no-restricted-imports': forbid(
      FEATURES.filter((other) => other !== feature),
      'A feature imports face, http and config; never another feature.',
    ),
  },
}));

export default tseslint.config(
  // AssemblyScript reads like TypeScript and is none.
  { ignores: ['dist', 'coverage', 'node_modules', '**/*.as.ts'] },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  prettier,
  {
    languageOptions: { globals: globals.node },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { ignoreRestSiblings: true, argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  {
    files: ['src/**/*.ts'],
    languageOptions: { parserOptions: { project: './test/tsconfig.json' } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
    },
  },
  {
    // What threads load as it is, also where tests run from the sources.
    files: ['src/**/*.js'],
    languageOptions: { sourceType: 'commonjs' },
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
  ...layerRules,
  ...featureRules,
  {
    files: ['src/cli.ts', 'src/cli/**/*.ts', 'bench/**', 'test/**', '.ci/**'],
    rules: { 'no-console': 'off' },
  },
);
