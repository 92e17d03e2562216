package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func newACLCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{Use: "acl", Short: "Allow and deny, list and delete ACLs of any Kafka broker"}
	f.register(cmd)
	cmd.AddCommand(newACLAddCommand(f, "allow", kmsg.ACLPermissionTypeAllow), newACLAddCommand(f, "deny", kmsg.ACLPermissionTypeDeny),
		newACLListCommand(f), newACLDeleteCommand(f))
	return cmd
}

// aclResource reads topic:name, group:name*, cluster, transactional-id:name,
// delegation-token:id, user:User:name. A star at the end of a longer name makes
// it a prefix.
func aclResource(s string) (kind kmsg.ACLResourceType, name string, pattern kmsg.ACLResourcePatternType, err error) {
	pattern = kmsg.ACLResourcePatternTypeLiteral
	text, name, _ := strings.Cut(s, ":")
	if text == "cluster" {
		return kmsg.ACLResourceTypeCluster, "kafka-cluster", pattern, nil
	}
	kinds := map[string]kmsg.ACLResourceType{"topic": kmsg.ACLResourceTypeTopic, "group": kmsg.ACLResourceTypeGroup,
		"transactional-id": kmsg.ACLResourceTypeTransactionalId, "delegation-token": kmsg.ACLResourceTypeDelegationToken, "user": kmsg.ACLResourceTypeUser}
	kind, ok := kinds[text]
	if !ok || name == "" {
		return 0, "", 0, fmt.Errorf("the resource %q is not cluster or one of topic, group, transactional-id, delegation-token, user with :NAME", s)
	}
	if prefix, is := strings.CutSuffix(name, "*"); is && prefix != "" {
		name, pattern = prefix, kmsg.ACLResourcePatternTypePrefixed
	}
	return kind, name, pattern, nil
}

func newACLAddCommand(f *clientFlags, verb string, permission kmsg.ACLPermissionType) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: verb + " PRINCIPAL OPERATION… RESOURCE", Short: strings.ToUpper(verb[:1]) + verb[1:] + " operations on a resource", Args: cobra.MinimumNArgs(3),
		Example: "  chronik acl " + verb + " User:alice read write topic:orders\n  chronik acl " + verb + " User:alice read 'group:orders-*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, pattern, err := aclResource(args[len(args)-1])
			if err != nil {
				return err
			}
			req := kmsg.NewPtrCreateACLsRequest()
			for _, text := range args[1 : len(args)-1] {
				op, err := kmsg.ParseACLOperation(text)
				if err != nil {
					return fmt.Errorf("the operation %q is not known: %w", text, err)
				}
				one := kmsg.NewCreateACLsRequestCreation()
				one.ResourceType, one.ResourceName, one.ResourcePatternType = kind, name, pattern
				one.Principal, one.Host, one.Operation, one.PermissionType = args[0], host, op, permission
				req.Creations = append(req.Creations, one)
			}
			cl, err := f.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			resp, err := req.RequestWith(cmd.Context(), cl)
			if err != nil {
				return fmt.Errorf("make ACLs: %w", err)
			}
			var errs []error
			for i, r := range resp.Results {
				if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w%s", args[1+i], err, detail(deref(r.ErrorMessage), err)))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringVar(&host, "host", "*", "address that the ACL holds for")
	return cmd
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func newACLListCommand(f *clientFlags) *cobra.Command {
	var principal string
	cmd := &cobra.Command{
		Use: "list [RESOURCE]", Short: "List ACLs; of a resource also those by prefix and wildcard", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := kmsg.NewPtrDescribeACLsRequest()
			req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			if len(args) == 1 {
				kind, name, _, err := aclResource(args[0])
				if err != nil {
					return err
				}
				req.ResourceType, req.ResourceName, req.ResourcePatternType = kind, &name, kmsg.ACLResourcePatternTypeMatch
			}
			if principal != "" {
				req.Principal = &principal
			}
			cl, err := f.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			resp, err := req.RequestWith(cmd.Context(), cl)
			if err == nil {
				err = kerr.ErrorForCode(resp.ErrorCode)
			}
			if err != nil {
				return fmt.Errorf("list ACLs: %w", err)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RESOURCE\tNAME\tPATTERN\tPRINCIPAL\tHOST\tOPERATION\tPERMISSION")
			for _, r := range resp.Resources {
				for _, a := range r.ACLs {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ResourceType, r.ResourceName, r.ResourcePatternType, a.Principal, a.Host, a.Operation, a.PermissionType)
				}
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&principal, "principal", "", "only those of a principal, User:name")
	return cmd
}

func newACLDeleteCommand(f *clientFlags) *cobra.Command {
	var principal, host string
	var operations []string
	cmd := &cobra.Command{
		Use: "delete RESOURCE", Short: "Delete the ACLs of a resource, all or those of --principal, --operation, --host", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, pattern, err := aclResource(args[0])
			if err != nil {
				return err
			}
			req := kmsg.NewPtrDeleteACLsRequest()
			add := func(op kmsg.ACLOperation) {
				one := kmsg.NewDeleteACLsRequestFilter()
				one.ResourceType, one.ResourceName, one.ResourcePatternType = kind, &name, pattern
				one.Operation, one.PermissionType = op, kmsg.ACLPermissionTypeAny
				if principal != "" {
					one.Principal = &principal
				}
				if host != "" {
					one.Host = &host
				}
				req.Filters = append(req.Filters, one)
			}
			for _, text := range operations {
				op, err := kmsg.ParseACLOperation(text)
				if err != nil {
					return fmt.Errorf("--operation %q is not known: %w", text, err)
				}
				add(op)
			}
			if len(operations) == 0 {
				add(kmsg.ACLOperationAny)
			}
			cl, err := f.client()
			if err != nil {
				return err
			}
			defer cl.Close()
			resp, err := req.RequestWith(cmd.Context(), cl)
			if err != nil {
				return fmt.Errorf("delete ACLs: %w", err)
			}
			gone := 0
			for _, r := range resp.Results {
				if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
					return fmt.Errorf("delete ACLs: %w%s", err, detail(deref(r.ErrorMessage), err))
				}
				gone += len(r.MatchingACLs)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "deleted %d\n", gone)
			return nil
		},
	}
	cmd.Flags().StringVar(&principal, "principal", "", "only those of a principal, User:name")
	cmd.Flags().StringVar(&host, "host", "", "only those for an address")
	cmd.Flags().StringSliceVar(&operations, "operation", nil, "only those of operations")
	return cmd
}
