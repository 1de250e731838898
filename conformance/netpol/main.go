// netpol answers, by the evaluator of sigs.k8s.io/kube-network-policies, which packets a set of NetworkPolicies lets through.
// It reads clusters from standard input as JSON (see cluster below) and prints, for each, a list of verdicts.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/yaml"
)

// One cluster and the packets to judge in it. Policies are the documents of an emitted file, as text.
type cluster struct {
	Namespaces []v1.Namespace `json:"namespaces"`
	Pods       []v1.Pod       `json:"pods"`
	Policies   []string       `json:"policies"`
	Packets    []packet       `json:"packets"`
}

type packet struct {
	Source          string      `json:"source"`
	Destination     string      `json:"destination"`
	DestinationPort int         `json:"destinationPort"`
	Protocol        v1.Protocol `json:"protocol"`
}

// Pods by each of their addresses.
type addresses map[string]*api.PodInfo

func (a addresses) GetPodInfoByIP(ip string) (*api.PodInfo, bool) {
	info, found := a[net.ParseIP(ip).String()]
	return info, found
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "netpol:", err)
		os.Exit(1)
	}
}

func run() error {
	var clusters []cluster
	if err := json.NewDecoder(os.Stdin).Decode(&clusters); err != nil {
		return err
	}
	verdicts := make([][]bool, len(clusters))
	for i, cluster := range clusters {
		var err error
		if verdicts[i], err = judge(cluster); err != nil {
			return fmt.Errorf("cluster %d: %w", i, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func judge(cluster cluster) ([]bool, error) {
	factory := informers.NewSharedInformerFactory(nil, 0)
	namespaces, pods := factory.Core().V1().Namespaces(), factory.Core().V1().Pods()
	policies := factory.Networking().V1().NetworkPolicies()
	labels := map[string]map[string]string{}
	for i := range cluster.Namespaces {
		namespace := &cluster.Namespaces[i]
		labels[namespace.Name] = namespace.Labels
		if err := namespaces.Informer().GetIndexer().Add(namespace); err != nil {
			return nil, err
		}
	}
	byAddress := addresses{}
	for i := range cluster.Pods {
		pod := &cluster.Pods[i]
		if err := pods.Informer().GetIndexer().Add(pod); err != nil {
			return nil, err
		}
		for _, address := range pod.Status.PodIPs {
			byAddress[net.ParseIP(address.IP).String()] = api.NewPodInfo(pod, labels[pod.Namespace], nil, "")
		}
	}
	for _, text := range cluster.Policies {
		policy := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
			return nil, err
		}
		if err := policies.Informer().GetIndexer().Add(policy); err != nil {
			return nil, err
		}
	}
	evaluator := networkpolicy.NewStandardNetworkPolicy("node", namespaces, pods, policies)
	engine := networkpolicy.NewPolicyEngine(byAddress, []api.PolicyEvaluator{evaluator})
	verdicts := make([]bool, len(cluster.Packets))
	for i, p := range cluster.Packets {
		source, destination := net.ParseIP(p.Source), net.ParseIP(p.Destination)
		family := v1.IPv6Protocol
		if destination.To4() != nil {
			family = v1.IPv4Protocol
		}
		allowed, err := engine.EvaluatePacket(context.Background(), &network.Packet{
			Family: family, SrcIP: source, DstIP: destination, Proto: p.Protocol, SrcPort: 40000, DstPort: p.DestinationPort,
		})
		if err != nil {
			return nil, err
		}
		verdicts[i] = allowed
	}
	return verdicts, nil
}
