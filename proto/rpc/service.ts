import * as grpc from '@grpc/grpc-js';

/**
 * Typed gRPC services from the static modules of protobufjs-cli: each generated service method carries its path,
 * message names and stream flags as literal types, and these mapped types turn them into handlers and clients.
 */

interface Codec {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
}
interface MethodMark {
  path: string;
  requestType: string;
  responseType: string;
  requestStream: true | undefined;
  responseStream: true | undefined;
}
type Encodable<N, T extends string> = T extends keyof N
  ? N[T] extends { encode(message: infer M, ...rest: never[]): unknown }
    ? M
    : never
  : never;
type Decoded<N, T extends string> = T extends keyof N
  ? N[T] extends { decode(...args: never[]): infer M }
    ? M
    : never
  : never;
type Marks<S> = { [K in keyof S as S[K] extends MethodMark ? K : never]: S[K] };

type Handler<N, M> = M extends {
  requestType: infer Q extends string;
  responseType: infer P extends string;
  requestStream: infer QS;
  responseStream: infer PS;
}
  ? QS extends true
    ? PS extends true
      ? grpc.handleBidiStreamingCall<Decoded<N, Q>, Encodable<N, P>>
      : grpc.handleClientStreamingCall<Decoded<N, Q>, Encodable<N, P>>
    : PS extends true
      ? grpc.handleServerStreamingCall<Decoded<N, Q>, Encodable<N, P>>
      : grpc.handleUnaryCall<Decoded<N, Q>, Encodable<N, P>>
  : never;

type Call<N, M> = M extends {
  requestType: infer Q extends string;
  responseType: infer P extends string;
  requestStream: infer QS;
  responseStream: infer PS;
}
  ? QS extends true
    ? PS extends true
      ? (
          metadata?: grpc.Metadata,
          options?: grpc.CallOptions,
        ) => grpc.ClientDuplexStream<Encodable<N, Q>, Decoded<N, P>>
      : (callback: grpc.requestCallback<Decoded<N, P>>) => grpc.ClientWritableStream<Encodable<N, Q>>
    : PS extends true
      ? (request: Encodable<N, Q>, options?: grpc.CallOptions) => grpc.ClientReadableStream<Decoded<N, P>>
      : (
          request: Encodable<N, Q>,
          metadata: grpc.Metadata,
          options: grpc.CallOptions,
          callback: grpc.requestCallback<Decoded<N, P>>,
        ) => grpc.ClientUnaryCall
  : never;

export type Handlers<N, S> = { [K in keyof Marks<S>]: Handler<N, Marks<S>[K]> };
export type Client<N, S> = grpc.Client & { [K in keyof Marks<S>]: Call<N, Marks<S>[K]> };

export interface TypedService<N, S> {
  definition: grpc.ServiceDefinition;
  Client: new (address: string, credentials: grpc.ChannelCredentials, options?: grpc.ClientOptions) => Client<N, S>;
  add(server: grpc.Server, handlers: Handlers<N, S>): void;
}

/** @param messages the generated namespace with the message classes. @param service its generated service class. */
export function typedService<N extends object, S extends object>(
  messages: N,
  service: { prototype: S },
): TypedService<N, S> {
  const codecs = messages as Record<string, unknown>;
  const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {};
  for (const [name, mark] of Object.entries(service.prototype as Record<string, Partial<MethodMark>>)) {
    if (mark.path === undefined || mark.requestType === undefined || mark.responseType === undefined) continue;
    const request = codecs[mark.requestType] as Codec;
    const response = codecs[mark.responseType] as Codec;
    definition[name] = {
      path: mark.path,
      requestStream: mark.requestStream === true,
      responseStream: mark.responseStream === true,
      originalName: name,
      requestSerialize: (message) => toBuffer(request.encode(message).finish()),
      requestDeserialize: (bytes) => request.decode(bytes),
      responseSerialize: (message) => toBuffer(response.encode(message).finish()),
      responseDeserialize: (bytes) => response.decode(bytes),
    };
  }
  const serviceName = Object.values(definition)[0]?.path.split('/')[1] ?? 'empty';
  return {
    definition,
    Client: grpc.makeGenericClientConstructor(definition, serviceName) as unknown as TypedService<N, S>['Client'],
    add: (server, handlers) => server.addService(definition, handlers as unknown as grpc.UntypedServiceImplementation),
  };
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
