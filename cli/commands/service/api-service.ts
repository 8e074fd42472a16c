import type { ServiceEndpoint } from '../../../proto/objects/endpoint.ts';
import type { ServiceSpec, UpdateStatus } from '../../../proto/objects/service.ts';
import type { Context } from '../../context.ts';

/** A service as `GET /services` shows it. */
export interface ApiService {
  ID: string;
  Version: { Index: number };
  CreatedAt: string;
  Spec: ServiceSpec;
  PreviousSpec?: ServiceSpec;
  Endpoint?: ServiceEndpoint;
  UpdateStatus?: UpdateStatus;
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number; CompletedTasks?: number };
}

/** @param insertDefaults with what the server takes for what the spec leaves out. */
export function getService(context: Context, ref: string, insertDefaults = false): Promise<ApiService> {
  const query = { insertDefaults: insertDefaults ? true : undefined };
  return context.client.get<ApiService>(`/services/${encodeURIComponent(ref)}`, query);
}

/** Writes a changed spec back and prints the server's warnings. */
export async function putService(
  context: Context,
  service: ApiService,
  spec: ServiceSpec,
  query: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<void> {
  const answer = await context.client.post<{ Warnings?: string[] | null }>(
    `/services/${service.ID}/update`,
    spec,
    { version: service.Version.Index, registryAuthFrom: 'spec', ...query },
    headers,
  );
  for (const warning of answer.Warnings ?? []) context.warn(warning);
}

/** In Docker's words. */
export function modeOf(spec: ServiceSpec): string {
  if (spec.Mode?.Global !== undefined) return 'global';
  if (spec.Mode?.ReplicatedJob !== undefined) return 'replicated job';
  if (spec.Mode?.GlobalJob !== undefined) return 'global job';
  return 'replicated';
}
