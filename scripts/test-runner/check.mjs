import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileLine } from './report.mjs';

/**
 * Runs a program of node_modules. Its exit code is the result.
 *
 * @param {{ root: string, node: string, env: NodeJS.ProcessEnv }} context
 * @param {{ title: string, script: string, args: string[], quickArgs?: string[] }} check
 * @param {boolean} quick with `quickArgs`
 * @returns {Promise<{ passed: number, failed: number, report: string }>} counts the check as one
 */
export async function runCheck({ root, node, env }, { title, script, args, quickArgs = [] }, quick) {
  const startedAt = performance.now();
  const child = spawn(node, [path.join(root, 'node_modules', script), ...args, ...(quick ? quickArgs : [])], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const counts = code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
  const text = Buffer.concat(output).toString().trimEnd();
  return {
    ...counts,
    report: [fileLine(title, counts, performance.now() - startedAt), ...(code === 0 ? [] : [text])].join('\n'),
  };
}
