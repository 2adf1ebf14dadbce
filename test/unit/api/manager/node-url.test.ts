import t from 'tap';
import { urlAtNode } from '../../../../src/api/manager/node-url.ts';

const NODE = { url: 'http://node.example:8081' };

t.test('dot segments are refused, however they are written', async (t) => {
  const dots = ['.', '..', '%2e', '%2E', '%2e%2e', '%2E%2e', '.%2e', '%2e.'];
  for (const dot of dots)
    for (const path of [
      `/${dot}`,
      `/${dot}/x`,
      `/whip/${dot}/api/v1/server/drain`,
      `/whip/x/${dot}`,
      `/whip/x/${dot}?query`,
      `/whip\\${dot}\\x`,
      `/whip/${dot}\\x`,
      `//evil.example/${dot}/x`,
    ])
      t.throws(() => urlAtNode(NODE, path), { code: 'ROUTE_NOT_FOUND' }, path);
});

t.test('what a URL parser leaves where it is passes, at the node', async (t) => {
  const paths = [
    '/',
    '/whip/a',
    '/whip/..a',
    '/whip/a..',
    '/whip/...',
    '/whip/%2F..%2Fx',
    '/whip/..%2Fx',
    '/whip/..%5Cx',
  ];
  for (const path of paths) {
    const url = urlAtNode(NODE, path);
    t.equal(url.origin, NODE.url, path);
    t.equal(url.pathname, path, 'unchanged: no decoded segment leads elsewhere');
  }
  t.equal(urlAtNode(NODE, '//evil.example/x').origin, NODE.url);
  t.equal(urlAtNode(NODE, 'http://evil.example/x?a=../b').href, `${NODE.url}/x?a=../b`);
});
