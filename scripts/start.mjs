// npm start: sets up what is missing, then runs the gateway. Arguments are handed on: npm start -- --config FILE
import path from 'node:path';
import { ROOT, setUpOrExit } from './setup.mjs';
import { runNode } from './setup/run-node.mjs';

const { node, env } = await setUpOrExit('start');
process.exit(await runNode(node, [path.join(ROOT, 'src', 'main.ts'), ...process.argv.slice(2)], env));
