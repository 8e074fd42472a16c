import { readFileSync } from 'node:fs';
import path from 'node:path';
import { CommandError } from './command.ts';

const DOCKER_HUB = 'https://index.docker.io/v1/';

interface DockerConfig {
  auths?: Record<string, { auth?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/**
 * The `X-Registry-Auth` header for an image from what `docker login` has stored, or undefined when there is nothing for its registry.
 * @param folder where `config.json` is: `$DOCKER_CONFIG`, else `~/.docker`.
 * @throws CommandError when the credentials are with a helper program, which only docker's own client asks.
 */
export function registryAuth(image: string, folder: string): string | undefined {
  const config = readConfig(path.join(folder, 'config.json'));
  const registry = registryOf(image);
  if (config.credsStore !== undefined || config.credHelpers?.[registry] !== undefined) {
    throw new CommandError(
      `the credentials of ${registry} are with a credential helper: use docker's own client for --with-registry-auth`,
    );
  }
  const stored = config.auths?.[registry] ?? config.auths?.[`https://${registry}`];
  if (stored === undefined) return undefined;
  const [username = '', ...password] = Buffer.from(stored.auth ?? '', 'base64')
    .toString()
    .split(':');
  const auth =
    stored.identitytoken === undefined
      ? { username, password: password.join(':'), serveraddress: registry }
      : { identitytoken: stored.identitytoken, serveraddress: registry };
  return Buffer.from(JSON.stringify(auth)).toString('base64url');
}

/** The header of a request that is to carry the credentials; empty when there are none. @param environment of this process. */
export function authHeader(image: string, environment: NodeJS.ProcessEnv): Record<string, string> {
  const folder = environment['DOCKER_CONFIG'] ?? path.join(environment['HOME'] ?? '/root', '.docker');
  const auth = registryAuth(image, folder);
  return auth === undefined ? {} : { 'X-Registry-Auth': auth };
}

/** `registry.example:5000/team/app:1` -> `registry.example:5000`; a name without a host is on Docker Hub. */
export function registryOf(image: string): string {
  const [host = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:]/.test(host) || host === 'localhost') ? host : DOCKER_HUB;
}

function readConfig(file: string): DockerConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // Nobody has logged in.
    return {};
  }
  try {
    return JSON.parse(text) as DockerConfig;
  } catch (error) {
    throw new CommandError(`${file} is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}
