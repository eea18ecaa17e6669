package haproxyaccess

import (
	"context"
	"fmt"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	haproxyaccessv1 "github.com/haproxy-access/clutch-haproxy-access/backend/api/haproxyaccess/v1"
)

// registerJSON registers the API's paths: POST for the calls, and for every other method the answer that it is POST. The
// gateway's own answer to another method is 501, as if there were no such call.
func registerJSON(ctx context.Context, mux *runtime.ServeMux, conn *grpc.ClientConn) error {
	methods := haproxyaccessv1.File_api_haproxyaccess_v1_haproxyaccess_proto.Services().ByName("AccessAPI").Methods()
	for i := range methods.Len() {
		if err := refuseOthers(mux, methods.Get(i)); err != nil {
			return err
		}
	}
	return haproxyaccessv1.RegisterAccessAPIHandler(ctx, mux, conn)
}

func refuseOthers(mux *runtime.ServeMux, call protoreflect.MethodDescriptor) error {
	rule, ok := proto.GetExtension(call.Options(), annotations.E_Http).(*annotations.HttpRule)
	if !ok || rule.GetPost() == "" {
		return fmt.Errorf("register %s: it has no path for POST", call.FullName())
	}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	} {
		err := mux.HandlePath(method, rule.GetPost(), func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			_, marshaler := runtime.MarshalerForRequest(mux, r)
			w.Header().Set("Allow", http.MethodPost)
			runtime.HTTPError(r.Context(), mux, marshaler, w, r, &runtime.HTTPStatusError{
				HTTPStatus: http.StatusMethodNotAllowed, Err: status.Error(codes.Unimplemented, "every call of this API is a POST"),
			})
		})
		if err != nil {
			return fmt.Errorf("register %s: %w", call.FullName(), err)
		}
	}
	return nil
}
