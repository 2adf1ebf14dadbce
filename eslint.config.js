import path from 'node:path';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

/** What each folder of src/ may import besides itself and FOR_EVERYBODY: the table of docs/architecture.md. No exceptions for single files. */
const ARROWS = {
  media: [],
  rtmp: ['media'],
  ffmpeg: ['media'],
  streams: ['media'],
  store: ['media'],
  webrtc: ['streams', 'media'],
  renditions: ['streams', 'ffmpeg', 'media'],
  outputs: ['renditions', 'rtmp', 'ffmpeg', 'media', 'streams', 'store'],
  sessions: ['webrtc', 'streams', 'media'],
  cluster: ['streams', 'sessions', 'outputs', 'store'],
  access: ['store'],
  hooks: ['store'],
  sip: ['access', 'sessions', 'outputs', 'renditions', 'webrtc', 'ffmpeg', 'streams', 'media'],
  api: ['access', 'sessions', 'outputs', 'rooms', 'sip', 'streams', 'cluster'],
  rooms: ['access', 'rtmp', 'streams', 'sessions', 'outputs', 'media', 'store'],
  signaling: ['access', 'sessions', 'outputs', 'rooms', 'streams', 'cluster'],
  embedded: [],
};

/** Folders and files that every server folder may import. They may import each other. */
const FOR_EVERYBODY = ['errors.ts', 'config', 'observe', 'runtime', 'net', 'views'];

/** The process and the composition roots: they import everything, and nothing imports them. */
const ROOTS = ['gateway.ts', 'manager.ts', 'main.ts'];

/** Browser code shares no module with the server. */
const BROWSER = ['web'];

const SRC = fileURLToPath(new URL('src/', import.meta.url));

/** Enforces the table for relative imports inside src/. */
const importArrows = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      noArrow: 'src/{{from}} must not import src/{{to}}: see ARROWS in eslint.config.js ({{from}} → {{allowed}}).',
    },
  },
  create(context) {
    const file = path.relative(SRC, context.filename).split(path.sep).join('/');
    if (file.startsWith('..')) return {};
    const from = file.includes('/') ? file.slice(0, file.indexOf('/')) : file;

    function check(node) {
      const specifier = node.source?.value;
      if (typeof specifier !== 'string' || !specifier.startsWith('.')) return;
      const target = path
        .relative(SRC, path.resolve(path.dirname(context.filename), specifier))
        .split(path.sep)
        .join('/');
      if (target.startsWith('..')) return;
      const to = target.includes('/') ? target.slice(0, target.indexOf('/')) : target;
      if (allows(from, to)) return;
      const allowed = BROWSER.includes(from)
        ? 'nothing of the server'
        : (ARROWS[from] ?? FOR_EVERYBODY).join(', ') || 'nothing';
      context.report({ node, messageId: 'noArrow', data: { from, to: target, allowed } });
    }

    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportAllDeclaration: check,
      ExportNamedDeclaration: check,
    };
  },
};

/** Whether `from` may import `to`; both are folders or top files of src/. */
function allows(from, to) {
  if (from === to) return true;
  if (ROOTS.includes(from)) return !BROWSER.includes(to);
  if (BROWSER.includes(from)) return BROWSER.includes(to);
  if (FOR_EVERYBODY.includes(to)) return true;
  return (ARROWS[from] ?? []).includes(to);
}

export default tseslint.config(
  { ignores: ['node_modules/', '.tap/', 'bench/results/', 'packages/client/dist/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-var': 'error',
      'prefer-const': 'error',
      'no-console': 'off',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-unreachable': 'error',
      'no-fallthrough': 'error',
      'no-control-regex': 'error',
      'no-self-compare': 'error',
      'no-template-curly-in-string': 'error',
    },
  },
  {
    files: ['src/**/*.ts', 'src/**/*.js'],
    plugins: { transponder: { rules: { 'import-arrows': importArrows } } },
    rules: { 'transponder/import-arrows': 'error' },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.base],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // Errors of promises that are not awaited would be lost.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksVoidReturn: { arguments: false, attributes: false } },
      ],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true, caughtErrors: 'none' },
      ],
    },
  },
  {
    // One file runs ffmpeg and knows how its process is ended and what its log means; another one checks its features at start.
    files: ['src/**/*.ts'],
    ignores: ['src/ffmpeg/ffmpeg-process.ts', 'src/ffmpeg/ffmpeg-abilities.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'fluent-ffmpeg', message: 'Only src/ffmpeg runs ffmpeg.' }] },
      ],
    },
  },
  {
    // A promise that nothing waits for has a handler, a close reason that is too long must not throw, and durations are not measured with the wall clock.
    files: ['src/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false }],
      'no-restricted-syntax': [
        'error',
        {
          selector:
            'MemberExpression[object.name="Date"][property.name="now"], NewExpression[callee.name="Date"][arguments.length=0], CallExpression[callee.name="Date"]',
          message:
            'Measure durations with performance.now(): the wall clock steps. Dates come from src/runtime/wall-clock.ts.',
        },
        {
          selector:
            'CallExpression[callee.property.name="close"][arguments.0.type=/Literal|Conditional/], CallExpression[callee.property.name="close"][arguments.length>1]',
          message: 'Close WebSockets with closeWebSocket() of src/net/close-socket.ts, which cuts the reason.',
        },
      ],
    },
  },
  {
    // tap awaits its tests itself, and a test may have an unused `t`. Regular expressions match control bytes.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { args: 'none', caughtErrors: 'none' }],
      'no-control-regex': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        { allowForKnownSafePromises: [{ from: 'package', name: 'PromiseWithSubtest', package: '@tapjs/core' }] },
      ],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { ecmaVersion: 'latest', sourceType: 'module' },
    rules: { 'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }] },
  },
  {
    // Classic scripts of test pages: top-level names are used by the page.
    files: ['test/helpers/page/**/*.js'],
    languageOptions: { sourceType: 'script' },
    rules: { 'no-unused-vars': ['error', { vars: 'local', argsIgnorePattern: '^_', caughtErrors: 'none' }] },
  },
);
