import { messageOf } from '../../../proto/runtime/errors.ts';
import {
  isPluginMethod,
  type PluginBackend,
  type PluginHandlers,
  type PluginMethod,
  REQUESTS,
} from './plugin-protocol.ts';

export interface PluginAnswer {
  status: number;
  body: object;
}

const ADDRESS_SPACE = 'waggle';

/** Answers that are the same whether or not the node is in a swarm: the engine asks for them when it starts. */
const STATIC_HANDLERS: Omit<PluginHandlers, keyof PluginBackend> = {
  'Plugin.Activate': () => ({ Implements: ['NetworkDriver', 'IpamDriver'] }),
  'NetworkDriver.GetCapabilities': () => ({ Scope: 'local', ConnectivityScope: 'global' }),
  // No replay: networks, endpoints and leases are on our disk, and a replayed request would be a second lease.
  'IpamDriver.GetCapabilities': () => ({ RequiresMACAddress: false, RequiresRequestReplay: false }),
  'IpamDriver.GetDefaultAddressSpaces': () => ({
    LocalDefaultAddressSpace: ADDRESS_SPACE,
    GlobalDefaultAddressSpace: ADDRESS_SPACE,
  }),
};

/**
 * Answers one call. Failures of handlers are 200 with `Err` (network driver) and `Error` (IPAM driver), as the
 * protocol has them. An empty body where one is due is refused: the engine repeats a call whose connection died
 * with its body already spent.
 */
export async function dispatch(path: string, text: string, backend: PluginBackend): Promise<PluginAnswer> {
  const method = path.replace(/^\//, '');
  if (!isPluginMethod(method)) return failure(404, `unknown method ${method}`);
  const schema = REQUESTS[method];
  const handlers: PluginHandlers = { ...STATIC_HANDLERS, ...backend };
  // The schema of a method parses exactly what its handler takes; TypeScript cannot follow that through the table.
  const handler = handlers[method] as (request: unknown) => object | Promise<object>;
  try {
    if (schema === null) return { status: 200, body: await handler(undefined) };
    const request = parseBody(method, text);
    if ('problem' in request) return failure(400, request.problem);
    return { status: 200, body: await handler(request.value) };
  } catch (error) {
    return failure(200, messageOf(error));
  }
}

function parseBody(method: PluginMethod, text: string): { value: unknown } | { problem: string } {
  if (text.trim() === '')
    return { problem: 'the call was cut off, and repeated by the engine without its contents: try again' };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problem: `${method}: request is not JSON` };
  }
  const parsed = REQUESTS[method]?.safeParse(json);
  if (parsed?.success === true) return { value: parsed.data };
  const issue = parsed?.error.issues[0];
  return { problem: `${method}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'invalid'}` };
}

function failure(status: number, words: string): PluginAnswer {
  return { status, body: { Err: words, Error: words } };
}
