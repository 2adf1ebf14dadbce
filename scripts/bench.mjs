// npm run bench -- NAME: sets up what is missing, then runs a measurement of bench/.
import path from 'node:path';
import { ROOT, setUpOrExit } from './setup.mjs';
import { runNode } from './setup/run-node.mjs';

const { node, env } = await setUpOrExit('test');
process.exit(await runNode(node, [path.join(ROOT, 'bench', 'main.ts'), ...process.argv.slice(2)], env));
