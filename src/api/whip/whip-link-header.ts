import type { Settings } from '../../config/schema.ts';

/**
 * `Link` headers that tell a client its STUN and TURN servers (RFC 9725, 4.6). The settings hold URLs of RFC 7064 and 7065 and
 * credentials without quotes, so that nothing needs escaping.
 */
export function iceServerLinks(servers: Settings['ice_servers']): string[] {
  return servers.map(({ url, username, credential }) => {
    const login =
      username === undefined ? '' : `; username="${username}"; credential="${credential}"; credential-type="password"`;
    return `<${url}>; rel="ice-server"${login}`;
  });
}
