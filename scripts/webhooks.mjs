// npm run webhooks -- listen PORT: receives webhooks of the gateway, verifies them and prints them, for trying them out (docs/hooks.md).
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const USAGE = `Usage: npm run webhooks -- listen PORT

Receives webhooks on 127.0.0.1, verifies their signatures and prints them.
WEBHOOK_SECRET in the environment is the gateway's webhook_secret. Without it, a new one is created and printed.
`;
const MAX_BODY_BYTES = 1_000_000;

const [command, portText, ...rest] = process.argv.slice(2);
const port = /^\d{1,5}$/.test(portText ?? '') ? Number(portText) : NaN;
if (command !== 'listen' || !(port <= 65535) || rest.length > 0) {
  process.stderr.write(USAGE);
  process.exit(2);
}

const { Webhook } = await import('standardwebhooks').catch(() => {
  process.stderr.write('A package is missing. Run npm run setup first.\n');
  process.exit(1);
});
const given = process.env.WEBHOOK_SECRET;
const secret = given || `whsec_${randomBytes(32).toString('base64')}`;
const webhook = new Webhook(secret);

/** @returns {Promise<Buffer>} */
async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error('the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  const id = request.headers['webhook-id'];
  try {
    const { type, timestamp, data } = webhook.verify(await bodyOf(request), request.headers);
    console.log(`${timestamp} ${type} ${JSON.stringify(data)} (${id})`);
    response.writeHead(204).end();
  } catch (error) {
    console.log(`refused ${request.method} ${request.url}: ${error.message}`);
    response.writeHead(401).end();
  }
});
server.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
server.listen(port, '127.0.0.1', () => {
  console.log(`Listening. Settings of the gateway:\n`);
  console.log(`webhook_urls=http://127.0.0.1:${server.address().port}/`);
  console.log(given ? 'webhook_secret=(as in WEBHOOK_SECRET)\n' : `webhook_secret=${secret}\n`);
});
